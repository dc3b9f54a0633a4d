"""The `mubert` command: parses, calls one function, prints."""

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from rich.console import Console

from mubert_jax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs `mubert VERB ...`: 0 when done, 2 after one line on what the user can mend."""
    _quiet_libraries()
    parser = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    known, rest = parser.parse_known_args(arguments)
    takes_overrides = getattr(known, "takes_overrides", False)
    if rest and not (takes_overrides and all(a.startswith("--config.") for a in rest)):
        parser.error(f"unrecognised: {' '.join(rest)}; see mubert {known.verb or ''} --help")
    if known.verb is None:
        parser.print_help()
        return 0
    if takes_overrides:
        known.overrides = rest
    try:
        return known.run(known) or 0
    except UserError as error:
        print(f"mubert {known.verb}: {error}", file=sys.stderr)
        return 2


def _prepare(args) -> None:
    from mubert_jax.data.plan import PrepareOptions
    from mubert_jax.data.prepare import prepare

    options = PrepareOptions(
        size=args.size,
        crop=args.crop,
        detector=args.detector,
        margin=args.margin,
        encoding=args.encoding,
        align=args.align,
        workers=args.workers,
        exclude_subjects=tuple(args.exclude_subjects),
    )
    console = Console()
    console.print(prepare(args.source, args.input, args.output, options, console))
    console.print(
        f"Next: mubert pretrain --config=configs/pretrain.py --config.data.path={args.output} "
        f"--config.model.image_size={args.size} --workdir=runs/mine",
        highlight=False,
        soft_wrap=True,
    )


def _pretrain(args) -> int:
    from mubert_jax.config_files import load_config
    from mubert_jax.training.loop import pretrain
    from mubert_jax.training.preemption import EXIT_CODE, Preempted

    console = Console()
    config = load_config(args.config, args.overrides)
    try:
        pretrain(config, args.workdir, console)
    except Preempted as stopped:
        console.print(f"mubert pretrain: {stopped}", highlight=False, soft_wrap=True)
        return EXIT_CODE
    console.print(
        f"Done. Losses: {args.workdir / 'training.png'}\n"
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=perception.png",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _perceive(args) -> None:
    from mubert_jax.perception.perceive import perceive

    perceive(args, Console())


def _bench(args) -> None:
    from mubert_jax.bench import run

    run(args, Console())

"""`mubert pretrain`."""

from argparse import Namespace
from typing import TYPE_CHECKING

from rich.console import Console

from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.outputs import check_output

if TYPE_CHECKING:  # ml_collections, which the help does without
    from mubert_jax.config import Config

SUMMARY = "learn from unlabelled frames; started again, it goes on"
EXAMPLE = (
    "mubert pretrain --config=configs/pretrain.py --workdir=runs/mine "
    "--config.data.path=data/mine --config.training.batch_size=64"
)


def add_flags(parser: Parser) -> None:
    flags.run(parser)
    parser.add_argument(
        "--pod", action="store_true", help="this is one of several processes; see launch/"
    )


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.pretraining.run import run as pretrain
    from mubert_jax.training import pod
    from mubert_jax.training.preemption import EXIT_CODE, Preempted

    if args.pod:
        pod.join()
        console = console if pod.leads() else Console(quiet=True)
    (config,) = flags.configs(args, pretrain, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        pretrain(config, args.workdir, console)
    except Preempted as stopped:
        say(console, f"mubert pretrain: {stopped}")
        return EXIT_CODE
    say(
        console,
        f"Done: {args.workdir} (losses: {args.workdir / 'training.png'})\n"
        f"Next: mubert {_next(config).format(run=args.workdir)}",
    )
    return 0


def _next(config: "Config") -> str:
    """What a run of this config is for."""
    from mubert_jax.objectives import kind_of
    from mubert_jax.objectives.micron_bert import MicronBertObjective
    from mubert_jax.training.objective import Objective

    kind = kind_of(config)
    if issubclass(kind, MicronBertObjective):
        return "perceive --checkpoint={run} --video=VIDEO --output=perception.png"
    if kind.encode is not Objective.encode:
        return (
            "finetune --config=configs/finetune_encoder.py --workdir=DIR --config.data.path=PAIRS "
            "--config.training.init_from={run}"
        )
    return "export --checkpoint={run} --format=safetensors --output=FILE.safetensors"

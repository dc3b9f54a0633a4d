"""`mubert prepare`: which of its flags go with which source, and what comes next."""

import argparse
from pathlib import Path

from mubert_jax import arguments
from mubert_jax import flag_types as types
from mubert_jax.errors import UserError


def prepare(args, console) -> None:
    from mubert_jax.data import prepare as frames
    from mubert_jax.data.plan import PrepareOptions
    from mubert_jax.data.sets import is_labelled
    from mubert_jax.data.sets.controlled import Cast

    made_up = args.source == "controlled"
    given = {
        name: getattr(args, name) for name in arguments.CAST if getattr(args, name) is not None
    }
    if "conditions" in given:
        given["conditions"] = tuple(given["conditions"])
    if given and not made_up:
        raise UserError(f"--{next(iter(given)).replace('_', '-')} is for `controlled` alone")
    shaping = {
        "size": args.size,
        "crop": "none" if made_up else args.crop,
        "detector": args.detector,
        "margin": args.margin,
        "encoding": args.encoding,
        "align": args.align,
        "workers": args.workers,
        "exclude_subjects": tuple(args.exclude_subjects),
        "subject_folder": args.subject_folder,
    }
    if args.subject_folder is not None and args.source not in ("video", "frames"):
        raise UserError("--subject-folder is for `video` and `frames` alone")
    if is_labelled(args.source):
        _prepare_pairs(args, shaping, console)
        return
    if made_up and args.classes:
        _prepare_made_up(args, shaping, given, console)
        return
    if others := [name for name in arguments.LABELLED if getattr(args, name)]:
        raise UserError(f"--{others[0]} is for labelled sets (casme2, samm, ...) alone")
    path = _one_path(args, "input")
    if path is None and not made_up:
        raise UserError(f"{args.source} needs --input=PATH, a file or folder")
    input = Cast(size=args.size, photos=path, **given) if made_up else path
    console.print(
        frames.prepare(args.source, input, args.output, PrepareOptions(**shaping), console)
    )
    say(
        console,
        f"Next: mubert pretrain --config=configs/beyond.py --config.data.path={args.output} "
        f"--config.model.image_size={args.size} --workdir=runs/mine",
    )


def _prepare_pairs(args, shaping, console) -> None:
    from mubert_jax.data.labelled.labelled_set import PairOptions
    from mubert_jax.data.labelled.prepare import prepare_pairs
    from mubert_jax.data.sets import load_set

    paths = _named_paths if hasattr(load_set(args.source).SET, "members") else _one_path
    input, annotation = paths(args, "input"), paths(args, "annotation")
    if input is None and args.source != "pairs":
        raise UserError(f"{args.source} needs --input=DIR, the folder with its frames")
    labels = {name: getattr(args, name) for name in ("classes", "apex", "lenient")}
    options = PairOptions(
        **shaping,
        **labels,
        damaged=tuple(map(str, args.damaged or ())),
    )
    console.print(prepare_pairs(args.source, input, args.output, options, annotation, console))
    _say_finetune(args, console)


def _prepare_made_up(args, shaping, given, console) -> None:
    from mubert_jax.data.controlled.movements import EMOTIONS
    from mubert_jax.data.labelled.labelled_set import PairOptions
    from mubert_jax.data.labelled.made_up import prepare_made_up
    from mubert_jax.data.sets.controlled import Cast

    if args.classes != len(EMOTIONS):
        raise UserError(f"--classes {args.classes}: controlled has {len(EMOTIONS)} emotions")
    if others := [
        x for x in ("input", "annotation", "apex", "damaged", "lenient") if getattr(args, x)
    ]:
        raise UserError(f"--{others[0]} does not go with controlled --classes: people are drawn")
    cast = Cast(size=args.size, **given)
    console.print(prepare_made_up(cast, args.output, PairOptions(**shaping), console))
    _say_finetune(args, console)


def _say_finetune(args, console) -> None:
    say(
        console,
        f"Next: mubert finetune --config=configs/finetune.py --config.data.path={args.output} "
        "--workdir=runs/recognition"
        + (
            ""
            if args.size == 112
            else "\n  with a backbone of yours that looks at this size: "
            "--config.training.init_from=RUN (the package's own takes --size=112)"
        ),
    )


def _one_path(args, flag) -> Path | None:
    given = getattr(args, flag) or []
    if len(given) > 1:
        raise UserError(f"{args.source} takes one --{flag}, not {' '.join(given)}")
    return _path(given[0], flag) if given else None


def _path(text: str, flag: str) -> Path:
    try:
        return types.path(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--{flag}: {error}") from error


def _named_paths(args, flag) -> dict[str, Path]:
    """NAME=PATH of each value of a flag."""
    named = {}
    for word in getattr(args, flag) or []:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise UserError(f"--{flag} {word}: {args.source} takes --{flag} NAME=PATH for each set")
        if name in named:
            raise UserError(f"--{flag} {name}= is given twice")
        named[name] = _path(path, flag)
    return named


def say(console, text):
    console.print(text, highlight=False, markup=False, soft_wrap=True)

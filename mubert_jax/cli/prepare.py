"""`mubert prepare`: which of its flags go with which source, and which command comes next."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from mubert_jax import renamed
from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags, prepare_flow, prepare_long, prepare_sequences
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError

SUMMARY = "videos, images or a labelled data set -> records"
EXAMPLE = "mubert prepare video --input=videos/ --output=data/mine"
# Flags of labelled sets alone.
LABELLED = ("annotation", "classes", "apex", "damaged", "lenient", "clip_frames")
# Flags of `synthetic` alone: fields of `Cast`, whose defaults the help repeats.
CAST = {
    "subjects": "people (60)",
    "first_subject": "number of the first (0; from 100000: test)",
    "clips": "recordings of each (4)",
    "frames": "frames of each recording (24)",
    "conditions": "clean, drift, ... (lab, 1 in 4 busy-lab)",
    "seed": "another seed makes other people (0)",
}


def add_flags(parser: Parser) -> None:
    prepare_flow.add_to(parser)
    prepare_long.add_to(parser)
    prepare_sequences.add_to(parser)
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        type=_source,
        help="video, frames, synthetic (drawn people); labelled: casme2, samm, smic, casme3, "
        "megc2019, pairs; see prepare flow --help: flow, sequences, synthetic --long",
    )
    add(
        "--input",
        metavar="PATH",
        nargs="+",
        action="extend",
        help="a file or folder; megc2019: SET=DIR; synthetic: photos",
    )
    add("--output", metavar="DIR", type=types.path, required=True, help="a new folder")
    add(
        "--size",
        metavar="N",
        type=int,
        default=224,  # the paper's image size, section 5.2
        help="side of the stored frames in pixels (%(default)s)",
    )
    flags.crop(parser)
    add(
        "--encoding",
        metavar="NAME",
        choices=("png", "jpeg"),
        default="png",
        help="png, or jpeg: smaller, but noisy",
    )
    add(
        "--align",
        metavar="HOW",
        choices=flags.ALIGN_FRAMES,
        default="none",
        help="register to the clip's first frame: ecc or robust",
    )
    add("--workers", metavar="N", type=int, help="threads (one per core)")
    add("--exclude-subjects", nargs="+", default=(), metavar="ID", help="subjects to leave out")
    add(
        "--subject-folder",
        metavar="N",
        type=int,
        help="video, frames: which folder is the subject's (1)",
    )
    add("--annotation", metavar="PATH", action="append", help="labelled: sheet; pairs: table")
    add("--classes", metavar="N", type=int, help="labelled: 3 or 5; casme3: 3, 4 or 7")
    add("--apex", metavar="HOW", help="labelled, if not annotated: midpoint, auto")
    add(
        "--damaged",
        metavar="LIST",
        type=types.path,
        action="append",
        help="casme3: frames not to use",
    )
    add("--lenient", action="store_true", help="labelled: leave out doubtful clips")
    add(
        "--clip-frames",
        metavar="N",
        type=types.count,
        default=0,
        help="labelled: frames between, for recognition.clip_pooling",
    )
    for name, text in CAST.items():
        several = name == "conditions"
        add(
            f"--{name.replace('_', '-')}",
            help=f"synthetic: {text}",
            metavar="N",
            nargs="+" if several else None,
            type=str if several else int,
        )
    add(
        "--backgrounds",
        metavar="DIR",
        type=types.path,
        help="synthetic: photos behind people in wild",
    )
    add(
        "--motions",
        metavar="DIR",
        type=types.path,
        help="synthetic: recorded flow, three_norm_u_v_os",
    )
    add(
        "--amplitude",
        metavar=("LOW", "HIGH"),
        type=types.positive,
        nargs=2,
        help="synthetic pairs: reach, pixels at 224 (1 3)",
    )
    add(
        "--key-frame-error",
        metavar="N",
        type=int,
        help="synthetic pairs: wrong by N frames",
    )
    add(
        "--individual",
        action="store_true",
        help="synthetic pairs: habits of each person",
    )


def _source(name: str) -> str:
    if name in (prepare_flow.FLOW, prepare_sequences.SEQUENCES):
        raise argparse.ArgumentTypeError(
            f"{name} goes first: mubert prepare {name} --input=DIR ..."
        )
    return renamed.subcommand("prepare", name)


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.data import prepare as frames
    from mubert_jax.data.plan import PrepareOptions
    from mubert_jax.data.sets import is_labelled
    from mubert_jax.data.sets.synthetic import Cast

    synthetic = args.source == "synthetic"
    given = {name: getattr(args, name) for name in CAST if getattr(args, name) is not None}
    if "conditions" in given:
        given["conditions"] = tuple(given["conditions"])
    if args.backgrounds:
        given["backgrounds"] = args.backgrounds
    further = ("motions", "amplitude", "individual", "key_frame_error")
    alone = [*given, *(name for name in further if getattr(args, name))]
    if alone and not synthetic:
        raise UserError(f"--{alone[0].replace('_', '-')} is for `synthetic` alone")
    if args.amplitude and not (args.motions or args.classes):
        raise UserError("--amplitude is for labelled pairs; add --classes or --motions=DIR")
    drawn = [name for name in ("individual", "key_frame_error") if getattr(args, name)]
    if drawn and (args.motions or not args.classes):
        flag = f"--{drawn[0].replace('_', '-')}"
        raise UserError(f"{flag} is for emotions that are drawn; give it with --classes")
    if args.amplitude:
        given["amplitudes"] = tuple(args.amplitude)
    given |= {name: getattr(args, name) for name in drawn}
    shaping = {
        "size": args.size,
        "crop": "none" if synthetic else args.crop,
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
    if args.motions:
        _prepare_recorded(args, shaping, given, console)
        return
    if synthetic and args.classes:
        _prepare_synthetic(args, shaping, given, console)
        return
    if others := [name for name in LABELLED if getattr(args, name)]:
        raise UserError(f"--{others[0]} is for labelled sets (casme2, samm, ...) alone")
    path = _one_path(args, "input")
    if synthetic:
        input = Cast(size=args.size, photos=path, **given)
    elif path is not None:
        input = path
    else:
        raise UserError(f"{args.source} needs --input=PATH, a file or folder")
    console.print(
        frames.prepare(args.source, input, args.output, PrepareOptions(**shaping), console)
    )
    say(
        console,
        f"Next: mubert pretrain --config=configs/beyond.py --config.data.path={args.output} "
        f"--config.model.image_size={args.size} --workdir=runs/mine",
    )


def _prepare_pairs(args: Namespace, shaping: dict[str, Any], console: Console):
    from mubert_jax.data.labelled.collected import PairOptions
    from mubert_jax.data.labelled.prepare import prepare_pairs
    from mubert_jax.data.sets import load_set

    paths = _named_paths if hasattr(load_set(args.source).SET, "members") else _one_path
    input, annotation = paths(args, "input"), paths(args, "annotation")
    if input is None and args.source != "pairs":
        raise UserError(f"{args.source} needs --input=DIR, the folder with its frames")
    labels = {name: getattr(args, name) for name in ("classes", "apex", "lenient", "clip_frames")}
    options = PairOptions(
        **shaping,
        **labels,
        damaged=tuple(map(str, args.damaged or ())),
    )
    console.print(prepare_pairs(args.source, input, args.output, options, annotation, console))
    _say_finetune(args, console)


def _prepare_synthetic(
    args: Namespace, shaping: dict[str, Any], given: dict[str, Any], console: Console
):
    from mubert_jax.data.labelled.collected import PairOptions
    from mubert_jax.data.labelled.synthetic import EmotionalCast, prepare_synthetic
    from mubert_jax.synthetic.expressions import EMOTIONS

    if args.classes != len(EMOTIONS):
        raise UserError(f"--classes {args.classes}: synthetic has {len(EMOTIONS)} emotions")
    if others := [
        x for x in ("input", "annotation", "apex", "damaged", "lenient") if getattr(args, x)
    ]:
        raise UserError(f"--{others[0]} does not go with synthetic --classes: people are drawn")
    cast = EmotionalCast(size=args.size, **given)
    options = PairOptions(**shaping, clip_frames=args.clip_frames)
    console.print(prepare_synthetic(cast, args.output, options, console))
    _say_finetune(args, console)


def _prepare_recorded(
    args: Namespace, shaping: dict[str, Any], given: dict[str, Any], console: Console
):
    from mubert_jax.data.labelled.collected import PairOptions
    from mubert_jax.data.labelled.recorded import RecordedCast, prepare_recorded
    from mubert_jax.data.published_flow import CLASSES

    if args.classes not in (None, len(CLASSES)):
        raise UserError(f"--classes {args.classes}: recorded flow has {len(CLASSES)} classes")
    if "backgrounds" in given:
        raise UserError("--backgrounds does not go with --motions")
    decided = [name for name in ("subjects", "first_subject", "clips") if name in given]
    decided += [x for x in LABELLED if x != "classes" and getattr(args, x)]
    if decided:
        raise UserError(
            f"--{decided[0].replace('_', '-')} does not go with --motions: its folders say it"
        )
    photos = _one_path(args, "input")
    cast = RecordedCast(motions=args.motions, size=args.size, photos=photos, **given)
    console.print(prepare_recorded(cast, args.output, PairOptions(**shaping), console))
    _say_finetune(args, console)


def _say_finetune(args: Namespace, console: Console):
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


def _one_path(args: Namespace, flag: str) -> Path | None:
    given = getattr(args, flag) or []
    if len(given) > 1:
        raise UserError(f"{args.source} takes one --{flag}, not {' '.join(given)}")
    return _path(given[0], flag) if given else None


def _path(text: str, flag: str) -> Path:
    try:
        return types.path(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--{flag}: {error}") from error


def _named_paths(args: Namespace, flag: str) -> dict[str, Path]:
    """The path by its name, from the values NAME=PATH of a flag."""
    named = {}
    for word in getattr(args, flag) or []:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise UserError(f"--{flag} {word}: {args.source} takes --{flag} NAME=PATH for each set")
        if name in named:
            raise UserError(f"--{flag} {name}= is given twice")
        named[name] = _path(path, flag)
    return named

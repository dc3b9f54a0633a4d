"""`mubert magnify`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

SUMMARY = "two images or a video -> the same with larger movements, by MagNet"
EXAMPLE = "mubert magnify --video=v.mp4 --factor=10 --weights=runs/magnet --output=m.mp4"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    flags.frames(parser, "a video, instead of two images")
    add(
        "--output",
        metavar="FILE",
        type=types.file,
        required=True,
        help="an image (.png, .jpg, ...) or a video (.mp4); a .json beside it says what was done",
    )
    add(
        "--factor",
        metavar="X",
        type=types.positive,
        default=10.0,  # what motion maps magnify by
        help="how many times as large movements become (%(default)g)",
    )
    add(
        "--weights",
        metavar="FROM",
        type=types.path,
        help="a run of configs/baselines/magnet.py, what `mubert export` makes of one, or the "
        "PyTorch port's file (the one that MUBERT_MAGNET names)",
    )
    add(
        "--reference",
        choices=("first", "previous"),
        help="the frame of a video from which movements are (first)",
    )


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.perception import magnify

    flags.check_frames(args)
    if args.reference and not args.video:
        raise UserError("--reference is for a --video; two images have their onset")
    suffixes = magnify.VIDEOS if args.video else magnify.IMAGES
    read = (args.onset, args.apex, args.video, args.weights)
    check_output("--output", args.output, suffixes=suffixes, inputs=read)
    check_output("--output", args.output.with_suffix(".json"), inputs=read)
    magnifier = magnify.open_magnifier(args.weights)
    if args.video:
        reference = args.reference or magnify.FIRST
        magnify.magnify_video(magnifier, args.video, reference, args.factor, args.output, console)
    else:
        magnify.magnify_images(magnifier, args.onset, args.apex, args.factor, args.output, console)

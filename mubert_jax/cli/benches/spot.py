"""`mubert bench spot`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import rows
from mubert_jax.cli.parser import Parser

SUMMARY = "the stages of spotting"
EXAMPLE = "mubert bench spot --seconds=20"
TABLE = rows


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    add = parser.add_argument
    flags.spotting_method(parser)
    add("--video", metavar="FILE", type=types.path, help="a video (else a person is drawn)")
    add(
        "--crop",
        choices=("face", "center", "none"),
        help="what to cut out (face of a --video, else none)",
    )
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=20.0,  # all lags are read from 16 seconds on
        help="how much is drawn (%(default)g)",
    )
    shared.steps(parser, 3)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.spot import bench_spot
    from mubert_jax.spotting.spotter import SpotOptions

    shared.config_is_not_read(args)
    crop = args.crop or ("face" if args.video else "none")
    options = SpotOptions(method=args.method, crop=crop)
    trained = shared.trained_to_spot(args)
    return bench_spot(trained, options, args.video, args.seconds, args.steps, console)

"""`mubert bench calibration`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import rows
from mubert_jax.cli.parser import Parser

SUMMARY = "the scores of spotting's false alarms on people who express nothing"
EXAMPLE = "mubert bench calibration --method=difference"
TABLE = rows


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    add = parser.add_argument
    flags.spotting_method(parser)
    add("--people", metavar="N", type=types.count, default=4, help="who are drawn (%(default)s)")
    add("--first-subject", metavar="N", type=int, default=0, help="of seed 1 (%(default)s)")
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=60.0,  # shorter ones hold fewer blinks, and cannot tell slow changes
        help="of each (%(default)g)",
    )
    add(
        "--threshold",
        metavar="X",
        type=types.positive,
        default=0.1,  # below all that ships
        help="the lowest score that is counted (%(default)g)",
    )


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.calibration import bench_calibration
    from mubert_jax.spotting.spotter import SpotOptions

    shared.config_is_not_read(args)
    options = SpotOptions(method=args.method, crop="none", threshold=args.threshold)
    trained = shared.trained_to_spot(args)
    people = args.people, args.first_subject, args.seconds
    return bench_calibration(trained, options, *people, console)

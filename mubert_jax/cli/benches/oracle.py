"""`mubert bench oracle`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.parser import Parser

SUMMARY = "maps of known movements, beside those of a copy that was told the truth"
EXAMPLE = "mubert bench oracle --checkpoint=runs/mine"


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    flags.benchmark(parser)
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=types.count,
        default=1500,  # more people show more, and take longer to draw
        help="to train on (%(default)s)",
    )
    # After half of them its score has stopped growing (docs/benchmark.md).
    shared.steps(parser, 1000, "it is trained")


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.oracle import bench_oracle
    from mubert_jax.interop.opening import SHIPPED, open_trained

    shared.config_is_not_read(args)
    trained, steps = open_trained(args.checkpoint or SHIPPED), args.steps
    return bench_oracle(trained, args.conditions, args.subjects, args.pairs, steps, console)

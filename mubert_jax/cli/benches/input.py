"""`mubert bench input`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import columns
from mubert_jax.cli.parser import Parser

SUMMARY = "the pipeline"
EXAMPLE = "mubert bench input --data=data/mine --batch-size=64"
TABLE = columns


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.batch_sizes(parser)
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        help="a prepared folder; without one, noise frames are made",
    )
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=5.0,  # a longer time averages over more of the machine's other work
        help="time of each measurement (%(default)s)",
    )


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.input import bench_input

    config = shared.config_of(args, bench_input)
    return bench_input(args.data, config, args.batch_size, args.seconds, console)

"""`mubert bench pitfalls`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser

SUMMARY = "what leaks and lenient scores do to a figure of recognition"
EXAMPLE = "mubert bench pitfalls --data=data/flow"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        required=True,
        help="labelled clips, as mubert prepare flow makes them",
    )
    add(
        "--epochs",
        metavar="N",
        type=types.count,
        default=200,  # the more, the more there is to pick from
        help="of STSTNet (%(default)s)",
    )


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.pitfalls import bench_pitfalls

    return bench_pitfalls(args.data, args.epochs, console)

"""`mubert bench registration`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import rows
from mubert_jax.cli.parser import Parser

SUMMARY = "registering pairs one by one, in batches, and while looking"
EXAMPLE = "mubert bench registration --batch-size=32"
TABLE = rows


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    parser.add_argument(
        "--batch-size",
        metavar="B",
        type=types.count,
        default=16,  # where a larger batch has stopped being faster on two CPU cores
        help="pairs at a time (%(default)s)",
    )
    shared.steps(parser, 10)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.registration import bench_registration
    from mubert_jax.interop.opening import SHIPPED, open_trained

    shared.config_is_not_read(args)
    trained = open_trained(args.checkpoint or SHIPPED)
    return bench_registration(trained, args.batch_size, args.steps, console)

"""`mubert bench sizes`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import columns
from mubert_jax.cli.parser import Parser

SUMMARY = "how a step grows with image, width and depth"
EXAMPLE = "mubert bench sizes"
TABLE = columns


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.batch_sizes(parser)
    shared.steps(parser, 3)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.sizes import bench_sizes

    config = shared.config_of(args, bench_sizes)
    return bench_sizes(config, args.batch_size, args.steps, console)

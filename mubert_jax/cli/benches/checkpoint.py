"""`mubert bench checkpoint`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import columns
from mubert_jax.cli.parser import Parser

SUMMARY = "what saving costs"
EXAMPLE = "mubert bench checkpoint"
TABLE = columns


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.batch_sizes(parser)
    shared.steps(parser, 5)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.checkpoint import bench_checkpoint

    config = shared.config_of(args, bench_checkpoint)
    return bench_checkpoint(config, args.batch_size, args.steps, console)

"""`mubert bench flow`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.parser import Parser

SUMMARY = "optical flow and DMA's displacement against known movements, in pixels"
EXAMPLE = "mubert bench flow --conditions clean all --methods farneback dis"


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    flags.benchmark(parser)
    shared.align(parser, flags.ALIGN_FRAMES)
    parser.add_argument("--methods", metavar="M", nargs="+", help="farneback, dis, tvl1, raft")


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.flow import bench_flow
    from mubert_jax.interop.opening import SHIPPED, open_trained

    shared.config_is_not_read(args)
    trained = open_trained(args.checkpoint or SHIPPED)
    return bench_flow(trained, args.conditions, args.subjects, args.align, console, args.methods)

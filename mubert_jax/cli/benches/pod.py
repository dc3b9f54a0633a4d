"""`mubert bench pod`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import columns
from mubert_jax.cli.parser import Parser

SUMMARY = "the step compiled for TPUs and GPUs that are not here, and what bounds it"
EXAMPLE = "mubert bench pod --config=configs/beyond.py --topology v5e:2x4 h100:1x1x8"
TABLE = columns


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    add = parser.add_argument
    add(
        "--topology",
        metavar="CHIP:SHAPE",
        nargs="+",
        default=["v5e:2x4"],
        help="v5e:2x4, v5p:2x2x2, v6e:2x4, ..., h100:1x1x8, h200:1x1x1 (%(default)s)",
    )
    add(
        "--batch-size",
        metavar="B",
        type=types.count,
        default=16,  # fits all chips at the paper's size
        help="pairs per step and chip (%(default)s)",
    )


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    import jax

    from mubert_jax.bench.pod import bench_pod

    config = shared.config_of(args, bench_pod)
    # A chip that is here is not asked: it may be none of those that are compiled for.
    jax.config.update("jax_platforms", "cpu")
    return bench_pod(config, args.topology, args.batch_size, console)

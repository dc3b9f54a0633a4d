"""`mubert bench step`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import columns
from mubert_jax.cli.parser import Parser

SUMMARY = "a training step"
EXAMPLE = "mubert bench step --config=configs/pretrain.py --batch-size 4 16 --peer torch-sdpa"
TABLE = columns


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.batch_sizes(parser)
    shared.steps(parser, 5)
    parser.add_argument(
        "--peer",
        choices=("torch", "torch-sdpa", "torch-compile"),
        nargs="+",
        default=[],
        help="PyTorch beside: plain eager, with fused attention, and compiled",
    )
    parser.add_argument(
        "--beside",
        metavar="FILE",
        type=types.config_file,
        nargs="+",
        default=[],
        help="other configs, whose steps take turns with it; overrides are for all of them",
    )


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.step import bench_step

    files = [args.config, *args.beside]
    config, *others = flags.configs(args, bench_step, files)
    beside = dict(zip((path.stem for path in args.beside), others, strict=True))
    return bench_step(config, args.batch_size, args.steps, args.peer, console, beside)

"""`mubert bench folds`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import rows
from mubert_jax.cli.parser import Parser

SUMMARY = "recognizers together and one by one"
EXAMPLE = "mubert bench folds --config=configs/finetune.py"
TABLE = rows


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.steps(parser, 3)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.folds import bench_folds

    config = shared.config_of(args, bench_folds)
    return bench_folds(config, args.steps, console)

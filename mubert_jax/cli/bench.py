"""`mubert bench`."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from mubert_jax import discovery
from mubert_jax.cli import benches
from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser, add_verb
from mubert_jax.data.files import write_text, writing_errors
from mubert_jax.outputs import PICTURES, check_output

SUMMARY = "speed and memory of the training step or of the input"
EXAMPLE = "mubert bench step --config=configs/pretrain.py --batch-size=4"


def add_flags(parser: Parser) -> None:
    subparsers = parser.add_subparsers(metavar="BENCH", dest="what", required=True)
    for name in discovery.names(benches):
        bench = discovery.module(benches, name, "bench")
        one = add_verb(subparsers, name, bench.SUMMARY, bench.EXAMPLE)
        bench.add_flags(one)
        one.add_argument("--output", metavar="FILE", type=types.file, help="the figures as JSON")
        one.set_defaults(overrides=())


def run(args: Namespace, console: Console) -> None:
    """Runs a bench, prints its table and writes its rows as JSON to `args.output`, if given."""
    bench = discovery.module(benches, args.what, "bench")
    read = [getattr(args, name, None) for name in ("checkpoint", "config")]
    if args.output:
        check_output("--output", args.output, inputs=read)
    if getattr(args, "picture", None):
        check_output("--picture", args.picture, suffixes=PICTURES, inputs=[args.output])
    rows = bench.run(args, console)
    if table := getattr(bench, "TABLE", None):
        console.print(table(f"mubert bench {args.what}", rows))
    if args.output:
        _write(args.output, rows)


def _write(path: Path, rows: list[dict[str, Any]]):
    with writing_errors(path, "choose another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(rows, indent=2) + "\n")

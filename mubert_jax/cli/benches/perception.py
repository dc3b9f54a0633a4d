"""`mubert bench perception`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.parser import Parser
from mubert_jax.errors import UserError

SUMMARY = "maps of known movements"
EXAMPLE = "mubert bench perception --checkpoint=runs/mine --picture=maps.png"


def add_flags(parser: Parser) -> None:
    flags.trained(parser)
    flags.benchmark(parser)
    add = parser.add_argument
    add("--picture", metavar="FILE", type=types.file, help="what each method sees")
    add(
        "--size",
        metavar="N",
        type=types.count,
        default=112,  # that of the shipped weights
        help="pixels (%(default)s)",
    )
    shared.align(parser, flags.ALIGN[1:], "; poi is the checkpoint's")
    add("--methods", metavar="M", nargs="+", help="baselines: farneback, eulerian, ... (all)")


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    from mubert_jax.bench.figure import picture
    from mubert_jax.bench.perception import PATCH, bench_perception
    from mubert_jax.interop.opening import SHIPPED, open_trained

    shared.config_is_not_read(args)
    if not args.checkpoint and args.size % PATCH:
        raise UserError(f"--size {args.size}: choose a multiple of {PATCH}, the side of a patch")
    trained = open_trained(args.checkpoint) if args.checkpoint else None
    rows = bench_perception(
        trained, args.conditions, args.subjects, args.size, args.align, console, args.methods
    )
    if args.picture:
        shown = trained or open_trained(SHIPPED)
        picture(shown, args.conditions, args.align, args.picture, args.methods)
        console.print(f"Picture: {args.picture}", markup=False, soft_wrap=True)
    return rows

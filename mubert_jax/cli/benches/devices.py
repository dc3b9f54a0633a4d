"""`mubert bench devices`."""

from argparse import Namespace
from typing import Any

from rich.console import Console

from mubert_jax.cli.benches import _shared as shared
from mubert_jax.cli.benches._tables import rows
from mubert_jax.cli.parser import Parser

SUMMARY = "what splitting a step over devices costs"
EXAMPLE = "mubert bench devices --batch-size=8"
TABLE = rows


def add_flags(parser: Parser) -> None:
    shared.config(parser)
    shared.batch_size(parser)
    shared.steps(parser, 3)


def run(args: Namespace, console: Console) -> list[dict[str, Any]]:
    import jax

    from mubert_jax.bench.devices import VIRTUAL, bench_devices

    config = shared.config_of(args, bench_devices)
    # JAX splits a CPU only if it is told so before its first look at it.
    jax.config.update("jax_num_cpu_devices", VIRTUAL)
    powers = [2**i for i in range(len(jax.devices()).bit_length())]
    counts = [count for count in powers if args.batch_size % count == 0]
    return bench_devices(config, args.batch_size, counts, args.steps, console)

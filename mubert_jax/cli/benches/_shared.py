"""Flags that several benches have, and the config or the model that some of them read."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser

if TYPE_CHECKING:  # ml_collections, which the help does without
    from mubert_jax.config import Config
    from mubert_jax.perception.trained import Trained

# At the paper's size that takes seconds and 4 GB on two CPU cores (docs/performance.md).
BATCH_SIZE = 4


def config_of(args: Namespace, function: Callable) -> "Config":
    (config,) = flags.configs(args, function, [args.config])
    return config


def config_is_not_read(args: Namespace) -> None:
    from mubert_jax.config_files import key_of
    from mubert_jax.config_parts import NoPart, refuse_unread

    refuse_unread(NoPart, map(key_of, args.overrides), [], args.parser.flags().values())


def trained_to_spot(args: Namespace) -> "Trained | None":
    """The weights that `--method` spots by; None for methods that learn nothing."""
    from mubert_jax.interop.opening import SHIPPED, open_trained
    from mubert_jax.spotting.comparing import DMA

    return open_trained(args.checkpoint or SHIPPED) if args.method == DMA else None


def config(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=types.config_file,
        default="configs/pretrain.py",
        help="sizes to run at (%(default)s); --config.KEY=VALUE overrides a key",
    )


def batch_sizes(parser: Parser) -> None:
    batch_size(parser, "+", [BATCH_SIZE])


def batch_size(
    parser: Parser, nargs: str | None = None, default: int | list[int] = BATCH_SIZE
) -> None:
    parser.add_argument(
        "--batch-size",
        metavar="B",
        type=types.count,
        nargs=nargs,
        default=default,
        help=f"pairs per step ({BATCH_SIZE})",
    )


def align(parser: Parser, choices: Sequence[str], more: str = "") -> None:
    parser.add_argument(
        "--align",
        choices=choices,
        default="robust",
        help=f"the registration that every method gets{more} (%(default)s)",
    )


def steps(parser: Parser, default: int, help: str = "how many are timed") -> None:
    parser.add_argument(
        "--steps",
        metavar="N",
        type=types.count,
        default=default,
        help=f"{help} (%(default)s)",
    )

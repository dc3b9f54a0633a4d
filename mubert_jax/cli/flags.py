"""Flags that several verbs share, and the checks of their combinations."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser
from mubert_jax.errors import UserError

if TYPE_CHECKING:  # ml_collections, which the help does without
    from mubert_jax.config import Config

# Registrations that need no model, and all.
ALIGN_FRAMES = ("none", "ecc", "robust")
ALIGN = (*ALIGN_FRAMES, "poi")
# Those of `spotting.comparing` and `spotting.peaks`, which the help does without, as without JAX.
SPOTTING_METHODS = ("dma", "difference", "farneback")
SPOTTING_RECIPES = ("regions", "mdmd")


def run(parser: Parser) -> None:
    """A config file, overrides of its keys, and the folder of the results."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=types.config_file,
        required=True,
        help="a file of configs/; --config.KEY=VALUE overrides a key",
    )
    workdir(parser, "the run's folder")
    parser.set_defaults(overrides=())


def workdir(parser: Parser, help: str) -> None:
    parser.add_argument("--workdir", metavar="DIR", type=types.path, required=True, help=help)


def overrides(parser: Parser, help: str) -> None:
    """Overrides of keys, for a verb that has no `--config=FILE` whose help would mention them."""
    parser.add_argument("--config.KEY=VALUE", dest="config", metavar="", help=help)
    parser.set_defaults(overrides=())


def configs(args: Namespace, function: Callable, paths: Sequence[Path]) -> list["Config"]:
    """The part of each config file that `function` reads, with the command line's overrides.

    Raises:
      UserError: as `config_files.load_part`, also for an override that `function` does not read.
    """
    from mubert_jax.config_files import load_part
    from mubert_jax.config_parts import read_by

    return load_part(read_by(function), paths, args.overrides, args.parser.flags().values())


def crop(parser: Parser) -> None:
    """How a face is cut out; the defaults and limits are those of `PrepareOptions`."""
    add = parser.add_argument
    add(
        "--crop",
        metavar="HOW",
        choices=("face", "center", "none"),
        default="face",
        help="what to cut out: %(choices)s (%(default)s)",
    )
    add(
        "--detector",
        metavar="NAME",
        type=types.detector,
        default=types.HAAR,
        help="haar, or the path of a YuNet .onnx file",
    )
    add(
        "--margin",
        metavar="X",
        type=types.up_to(4),
        default=0.3,
        help="added around the face, in faces (%(default)s)",
    )


def frames(parser: Parser, video: str) -> None:
    """Two images, or a video, whose help is `video`."""
    add = parser.add_argument
    add("--onset", metavar="FILE", type=types.path, help="the first image")
    add("--apex", metavar="FILE", type=types.path, help="the second image")
    add("--video", metavar="FILE", type=types.path, help=video)


def check_frames(args: Namespace) -> None:
    """Raises UserError unless either a video or two images are given."""
    if not args.video and not (args.onset and args.apex):
        raise UserError("give --video=V, or both --onset=A and --apex=B")
    if args.video and (args.onset or args.apex):
        raise UserError("give either --video=V or --onset=A and --apex=B, not both")
    if not args.video and getattr(args, "delta", None):
        raise UserError("--delta is for a --video; two images are as far apart as they are")


def trained(parser: Parser, default: str | None = None, required: bool = False) -> None:
    """The source of the weights."""
    parser.add_argument(
        "--checkpoint",
        metavar="FROM",
        type=types.checkpoint,
        default=default,
        required=required,
        help="a run's --workdir, a file of `mubert export`, or shipped: the package's own weights"
        + (" (the default)" if default else ""),
    )


def spotting_method(parser: Parser, more: Sequence[str] = ()) -> None:
    parser.add_argument(
        "--method",
        choices=(*SPOTTING_METHODS, *more),
        default=SPOTTING_METHODS[0],
        help="dma is the checkpoint's DMA × POI; the others learn nothing (%(default)s)",
    )


def benchmark(parser: Parser) -> None:
    """The conditions and the people of the synthetic benchmark."""
    add = parser.add_argument
    conditions = ["clean", "light", "drift", "all"]
    add("--conditions", nargs="+", default=conditions, metavar="NAME", help="what else changes")
    # docs/benchmark.md was measured on 24; more people narrow the intervals and take longer.
    add("--subjects", metavar="N", type=types.count, default=24, help="test people (%(default)s)")

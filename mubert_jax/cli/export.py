"""`mubert export`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser

SUMMARY = "a checkpoint -> PyTorch, safetensors, ONNX or StableHLO"
EXAMPLE = "mubert export --checkpoint=runs/mine --format=torch --output=model.pth"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    flags.trained(parser, required=True)
    add(
        "--format",
        choices=("torch", "safetensors", "onnx", "stablehlo"),
        required=True,
        help="torch, safetensors: a state dict, of a Micron-BERT under the official names; onnx, "
        "stablehlo: the whole computation, any batch size",
    )
    add(
        "--output",
        metavar="FILE",
        type=types.file,
        required=True,
        help="the file; replaced if it is there",
    )
    add(
        "--recognizer",
        action="store_true",
        help="torch, safetensors: keep the recognizer, which the official classes do not load",
    )


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.interop.exporting import export
    from mubert_jax.recognition.predictions import emotions_of

    emotions = emotions_of(args.checkpoint) if args.recognizer else None
    export(args.checkpoint, args.format, args.output, args.recognizer, console, emotions)

"""`mubert import`."""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.evaluate import say_report
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

SUMMARY = "an official .pth, or an export of ours -> a checkpoint"
EXAMPLE = "mubert import --input=CASME2-is224-p8-b16-ep200.pth --workdir=runs/official"


def add_flags(parser: Parser) -> None:
    parser.add_argument(
        "--input",
        metavar="FILE",
        type=types.checkpoint,
        required=True,
        help=".pth or .safetensors, of PyTorch or of `mubert export`; a ViT or ResNet of ImageNet; "
        "a checkpoint of MoCo v3",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=types.path,
        help="published flow, where --input is the folder of a SUBJECT.pth per fold of STSTNet",
    )
    flags.workdir(parser, "a new run's folder")
    flags.overrides(parser, "what the file does not show, or another image size")


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.interop.importing import import_weights

    if args.config is not None:
        raise UserError("--config takes no file here, only --config.KEY=VALUE for a key")
    check_output("--workdir", args.workdir, folder=True)
    if args.data:
        from mubert_jax.recognition.ststnet_folds import evaluate_folds

        if args.overrides:
            raise UserError("--data takes no --config.KEY: the folds are tested as they are")
        report = evaluate_folds(Path(args.input), args.data, args.workdir, console)
        say_report(report, args.workdir, console)
        return
    config = import_weights(args.input, args.workdir, args.overrides, console)
    next_steps = _NEXT.get(config.objective.name, _NEXT_OF_ENCODERS)
    say(console, next_steps.format(run=args.workdir))


_NEXT = {
    "micron_bert": "Next: mubert perceive --checkpoint={run} --video=VIDEO --output=maps.png\n"
    "  or: mubert pretrain --config=FILE --workdir=DIR --config.training.init_from={run}",
    "dalle_tokenizer": "Next: mubert pretrain --config=configs/baselines/beit.py --workdir=DIR "
    "--config.data.path=DATA --config.objective.options.tokenizer={run}",
}
_NEXT_OF_ENCODERS = (
    "Next: mubert finetune --config=configs/finetune_encoder.py --workdir=DIR "
    "--config.data.path=PAIRS --config.training.init_from={run}"
)

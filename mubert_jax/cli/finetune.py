"""`mubert finetune`."""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from mubert_jax.cli import flags
from mubert_jax.cli.evaluate import say_report
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.outputs import check_output

SUMMARY = "labelled pairs -> a recognizer, tested on subjects it never saw"
EXAMPLE = (
    "mubert finetune --config=configs/finetune.py --config.data.path=data/casme2 "
    "--workdir=runs/casme2"
)


def add_flags(parser: Parser) -> None:
    flags.run(parser)
    parser.add_argument(
        "--allow-contamination",
        action="store_true",
        help="go on although the pretraining saw tested subjects, and stamp every table",
    )


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.recognition.finetune import finetune, stored_options
    from mubert_jax.recognition.kept_folds import RESUME
    from mubert_jax.training.preemption import EXIT_CODE, sigterm_as_interrupt

    (config,) = flags.configs(args, finetune, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        with sigterm_as_interrupt():
            report = finetune(config, args.workdir, args.allow_contamination, console)
    except KeyboardInterrupt:
        say(console, f"mubert finetune: stopped; {RESUME}")
        return EXIT_CODE
    say_report(report, args.workdir, console)
    if (args.workdir / "checkpoints").exists():
        crop = stored_options(Path(config.data.path)).get("crop", "face")
        say(
            console, f"Next: mubert predict --checkpoint={args.workdir} --crop={crop} --video=VIDEO"
        )
    return 0

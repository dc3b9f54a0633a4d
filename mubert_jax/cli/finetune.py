"""`mubert finetune`."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mubert_jax.cli import flags
from mubert_jax.cli.evaluate import say_report
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.outputs import check_output

if TYPE_CHECKING:  # pandas and JAX, which the help does without
    from mubert_jax.recognition.action_units import UnitScore

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
    from mubert_jax.recognition.action_units import finetune_action_units
    from mubert_jax.recognition.finetune import finetune, stored_options
    from mubert_jax.recognition.kept_folds import RESUME
    from mubert_jax.training.preemption import EXIT_CODE, sigterm_as_interrupt

    (config,) = flags.configs(args, finetune, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        with sigterm_as_interrupt():
            if config.recognition.target == "action_units":
                asked = config, args.workdir, args.allow_contamination, console
                _say_units(finetune_action_units(*asked), args.workdir, console)
                return 0
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


def _say_units(scores: "list[UnitScore]", folder: Path, console: Console) -> None:
    from mubert_jax.recognition.action_units import UNITS_FILE, mean_f1

    table = Table(caption="[95 % over people]; always: of saying that every clip shows it")
    for name in ("action unit", "clips", "people", "F1", "recall", "precision", "always"):
        table.add_column(name, justify="left" if name == "action unit" else "right")
    for one in scores:
        f1 = rf"{one.f1:.2f} \[{one.low:.2f}, {one.high:.2f}]"
        ratios = (f"{value:.2f}" for value in (one.recall, one.precision, one.always))
        table.add_row(one.unit, str(one.clips), str(one.people), f1, *ratios)
    console.print(table)
    say(console, f"Mean F1: {mean_f1(scores):.2f}")
    say(console, f"Done: {folder}/{UNITS_FILE}, and a report per action unit, AU*/results.html")

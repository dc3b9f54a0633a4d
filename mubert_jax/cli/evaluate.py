"""`mubert evaluate`."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

if TYPE_CHECKING:  # pandas and matplotlib, which the help does without
    from mubert_jax.recognition.report import Report
    from mubert_jax.recognition.report import Table as ReportTable

SUMMARY = "saved predictions -> UF1, UAR and a report"
EXAMPLE = (
    "mubert evaluate --workdir=runs/mine\n"
    "  mubert evaluate --predictions=theirs.csv --output=report --published=composite-3\n"
    "  mubert evaluate --compare runs/mine runs/flow\n"
    "  mubert evaluate --spotting=truth.csv --predictions=spotted.csv --output=report\n"
    "  mubert evaluate --predictions=spotted.csv --megc-submission=megc.csv"
)


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--workdir",
        metavar="DIR",
        type=types.path,
        help="a recognition run; its report is written anew from its predictions.csv",
    )
    add(
        "--predictions",
        metavar="FILE",
        type=types.path,
        help="instead, another method's table: subject,clip,truth,prediction and, if there, "
        "dataset,seed,fold,probability_CLASS",
    )
    add(
        "--megc-log",
        metavar="FILE",
        type=types.path,
        nargs="+",
        help="instead, logs of MEGC2019, one per seed, such as megc2019_seed0.txt",
    )
    add(
        "--compare",
        metavar="DIR",
        type=types.path,
        nargs="+",
        help="instead, runs on the same clips: their UF1 side by side, and less that of the first; "
        "with --spotting: tables of what other methods spotted, FILE",
    )
    add(
        "--spotting",
        metavar="FILE",
        type=types.path,
        help="annotated intervals of long videos, whose spotted ones --predictions holds: "
        "video,onset,offset and, if there, subject,type,emotion,score",
    )
    add(
        "--videos",
        metavar="FILE",
        type=types.path,
        help="with --spotting: subject,video,frames,fps, for false alarms per minute",
    )
    add(
        "--loso",
        action="store_true",
        help="with --spotting: the threshold on the score of each subject is chosen on the others",
    )
    add(
        "--megc-submission",
        metavar="FILE",
        type=types.file,
        help="instead: --predictions=INTERVALS as the MEGC script reads them; --videos of the set "
        "say what the owners call the first frame",
    )
    add("--output", metavar="DIR", type=types.path, help="else: the folder of the report")
    add(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="all classes, in label order (those of the table; of logs negative positive surprise)",
    )
    add(
        "--published",
        metavar="KEY",
        help="numbers to print beside: casme3-3, -4, -7, casme2-5, -3, samm-5, smic-3, composite-3",
    )


def run(args: Namespace, console: Console) -> None:
    if args.megc_submission:
        _submission(args, console)
        return
    if args.spotting:
        _spotting(args, console)
        return
    from mubert_jax.recognition.report import evaluate_file, evaluate_logs, evaluate_run

    for flag in ("videos", "loso"):
        if getattr(args, flag):
            raise UserError(f"--{flag} goes with --spotting")
    sources = ("workdir", "predictions", "megc_log", "compare")
    given = [name for name in sources if getattr(args, name)]
    if len(given) != 1:
        raise UserError(
            "give either --workdir=DIR or --predictions=FILE --output=DIR or "
            "--megc-log FILE --output=DIR or --compare DIR DIR ..."
        )
    if args.compare:
        _compare(args, console)
        return
    if args.workdir:
        for flag in ("output", "classes"):
            if getattr(args, flag) is not None:
                raise UserError(
                    f"--{flag} goes with --predictions and --megc-log, not with --workdir"
                )
        report, output = evaluate_run(args.workdir, args.published), args.workdir
    elif args.output is None:
        flag = given[0].replace("_", "-")
        raise UserError(f"--{flag} needs --output=DIR, the folder of the report")
    else:
        output = args.output
        check_output("--output", output, folder=True)
        evaluate, files = (evaluate_file, args.predictions)
        if args.megc_log:
            evaluate, files = (evaluate_logs, args.megc_log)
        report = evaluate(files, output, args.published, args.classes)
    say_report(report, output, console)


def _compare(args: Namespace, console: Console) -> None:
    from mubert_jax.recognition.comparison import compare, save, table

    for flag in ("classes", "published"):
        if getattr(args, flag) is not None:
            raise UserError(f"--{flag} does not go with --compare")
    if args.output:
        check_output("--output", args.output, folder=True)
    compared = compare(args.compare)
    console.print(table(compared))
    if args.output:
        save(compared, args.output / "comparison.csv")


def _submission(args: Namespace, console: Console) -> None:
    from mubert_jax.spotting.submission import submit

    if not args.predictions:
        raise UserError("--megc-submission needs --predictions=FILE, what was spotted")
    others = (
        "spotting",
        "workdir",
        "megc_log",
        "compare",
        "classes",
        "published",
        "loso",
        "output",
    )
    for name in others:
        if getattr(args, name):
            raise UserError(f"--{name.replace('_', '-')} does not go with --megc-submission")
    read = [args.predictions, args.videos]
    check_output("--megc-submission", args.megc_submission, suffixes=[".csv"], inputs=read)
    rows = submit(args.predictions, args.videos, args.megc_submission)
    say(console, f"Done: {args.megc_submission}, {rows} intervals")


def _spotting(args: Namespace, console: Console) -> None:
    from mubert_jax.spotting.report import evaluate_spotting, save

    if not args.predictions or not args.output:
        raise UserError("--spotting needs --predictions=FILE, what was spotted, and --output=DIR")
    for name in ("workdir", "megc_log", "classes", "published"):
        if getattr(args, name):
            raise UserError(f"--{name.replace('_', '-')} does not go with --spotting")
    check_output("--output", args.output, folder=True)
    report = evaluate_spotting(
        args.spotting, args.predictions, args.videos, args.loso, args.compare or ()
    )
    save(report, args.output)
    say(console, "\n".join(report.lines()))
    curve = ", spotting_curve.png" if len(report.curve) > 1 else ""
    say(console, f"Done: {args.output}/spotting.csv, spotting.json{curve}")


def _shown(table: "ReportTable") -> Table:
    """A table of the report, for a terminal."""
    shown = Table(title=table.title, caption=table.note)
    for i, name in enumerate(table.columns):
        shown.add_column(name, justify="left" if i < table.words else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(cell.text for cell in row))
    return shown


def say_report(report: "Report", folder: Path, console: Console) -> None:
    say(console, "\n".join([report.title, *report.lines()]))
    for table in report.beside:
        console.print(_shown(table))
    say(console, f"Done: {folder}/results.html, results.md, results.csv, megc2019_seed*.txt")

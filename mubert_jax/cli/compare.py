"""`mubert compare`."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

if TYPE_CHECKING:  # JAX, which the help does without
    from mubert_jax.recognition.comparison_runs import Row

SUMMARY = "recognizers by one protocol -> a ranked table with intervals, a page"
EXAMPLE = (
    "mubert compare --data=data/casme2 --networks ridge ststnet linear_probe --output=compared\n"
    "  mubert compare --runs runs/mine runs/flow --output=compared"
)


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        help="labelled pairs, or a flow set, as `mubert prepare` makes them",
    )
    add("--networks", metavar="NAME", nargs="+", default=(), help="each by its published recipe")
    add(
        "--config",
        metavar="FILE",
        type=types.config_file,
        nargs="+",
        default=(),
        help="other rows, files of configs/; --config.KEY=VALUE overrides a key of all rows",
    )
    add("--runs", metavar="DIR", type=types.path, nargs="+", help="instead, finished runs")
    add(
        "--output",
        metavar="DIR",
        type=types.path,
        required=True,
        help="the folder of the page, and of the runs",
    )
    add(
        "--published",
        metavar="KEY",
        help="numbers to print beside: casme3-3, -4, -7, casme2-5, -3, samm-5, smic-3, composite-3",
    )
    add(
        "--allow-contamination",
        action="store_true",
        help="go on although a pretraining saw tested subjects, and stamp every table",
    )
    add(
        "--optimism",
        action="store_true",
        help="show beside it what picking the epoch on the test subject would have reported",
    )
    parser.set_defaults(overrides=())


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.recognition.comparison_report import FILES, write_comparison
    from mubert_jax.recognition.comparison_runs import run_all
    from mubert_jax.recognition.kept_folds import RESUME
    from mubert_jax.recognition.published import published
    from mubert_jax.training.preemption import EXIT_CODE, sigterm_as_interrupt

    if (args.data is None) == (args.runs is None):
        raise UserError("give either --data=DIR --networks NAME ... or --runs RUN ...")
    if args.published:
        published(args.published)
    check_output("--output", args.output, folder=True)
    folders, failed = args.runs, []
    if args.runs:
        for flag in ("networks", "config", "allow_contamination", "optimism", "overrides"):
            if getattr(args, flag):
                said = args.overrides[0] if flag == "overrides" else f"--{flag.replace('_', '-')}"
                raise UserError(f"{said} goes with --data, not with --runs, which are finished")
    else:
        rows = _rows(args)
        try:
            with sigterm_as_interrupt():
                folders, failed = run_all(rows, args.output, args.allow_contamination, console)
        except KeyboardInterrupt:
            say(console, f"mubert compare: stopped; {RESUME}")
            return EXIT_CODE
    found = write_comparison(folders, args.output, failed, args.published)
    table = found.ranked()
    for method, row in zip(found.methods, table.rows, strict=False):
        say(console, f"{method.title}: UF1 {row[1].whole}, UAR {row[2].whole} (%)")
    say(console, "\n".join([*found.lines(), *(f"⚠ {stamp}" for stamp in found.stamps)]))
    say(console, f"Done: {args.output}/{', '.join(FILES)}")
    return 1 if failed else 0


def _rows(args: Namespace) -> list["Row"]:
    """What is asked for; UserError unless all of it can be trained by one protocol."""
    from mubert_jax.config_files import key_of, load_config
    from mubert_jax.config_parts import only, read_by, refuse_unread
    from mubert_jax.recognition.comparison_runs import Row, check, of_network, with_optimism
    from mubert_jax.recognition.finetune import finetune

    for override in args.overrides:
        if key_of(override) in (
            own := {"data.path": "--data", "recognition.network": "--networks"}
        ):
            raise UserError(f"{override}: {own[key_of(override)]} says that here")
    overrides = [*args.overrides, f"--config.data.path={args.data}"]
    rows = [of_network(name, overrides) for name in args.networks]
    rows += [Row(Path(file).stem, load_config(file, overrides)) for file in args.config]
    if not rows:
        raise UserError("give --networks NAME ... or --config FILE ..., what to compare")
    rows = [with_optimism(row) for row in rows] if args.optimism else rows
    check(rows)
    part, configs = read_by(finetune), [row.config for row in rows]
    refuse_unread(part, map(key_of, args.overrides), configs, args.parser.flags().values())
    return [Row(row.name, only(row.config, part)) for row in rows]

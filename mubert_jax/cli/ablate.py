"""`mubert ablate`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

SUMMARY = "configs x seeds, trained and scored on known movements"
EXAMPLE = (
    "mubert ablate --configs configs/ablations/*.py --workdir=runs/ablations "
    "--config.data.path=data/synthetic"
)


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--configs",
        metavar="FILE",
        type=types.config_file,
        nargs="+",
        required=True,
        help="files of configs/",
    )
    flags.workdir(parser, "the folder of all runs")
    add(
        "--seeds",
        metavar="N",
        type=types.count,
        default=1,
        help="runs of each config (%(default)s)",
    )
    flags.overrides(parser, "overrides a key of all configs")
    flags.benchmark(parser)


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.bench.ablation import Benchmark, ablate
    from mubert_jax.perception.benchmark import enough_subjects
    from mubert_jax.synthetic.conditions import known_conditions
    from mubert_jax.training.preemption import EXIT_CODE, Preempted

    names = [path.stem for path in args.configs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--configs holds {twice[0]} twice; files need names of their own")
    configs = dict(zip(names, flags.configs(args, ablate, args.configs), strict=True))
    benchmark = Benchmark(known_conditions(args.conditions), enough_subjects(args.subjects))
    check_output("--workdir", args.workdir, folder=True)
    try:
        ablate(configs, args.seeds, args.workdir, benchmark, console)
    except Preempted as stopped:
        say(console, f"mubert ablate: {stopped}")
        return EXIT_CODE
    say(console, f"Done: {args.workdir}/results.md, results.csv, results.png")
    return 0

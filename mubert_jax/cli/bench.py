"""`mubert bench`: what is measured, with which flags, and how it is shown."""

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser, add_verb
from mubert_jax.data.files import write_text, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.outputs import PICTURES, check_output

if TYPE_CHECKING:  # ml_collections, which the help does without
    from mubert_jax.config import Config

SUMMARY = "speed and memory of the training step or of the input"
EXAMPLE = "mubert bench step --config=configs/pretrain.py --batch-size=4"
# At the paper's size that takes seconds and 4 GB on two CPU cores (docs/performance.md).
BATCH_SIZE = 4


def add_flags(parser: Parser) -> None:
    benches = parser.add_subparsers(metavar="BENCH", dest="what", required=True)
    for name, bench in BENCHES.items():
        one = add_verb(benches, name, bench.summary, f"mubert bench {name}{bench.example}")
        for add_flag in bench.flags:
            add_flag(one)
        one.add_argument("--output", metavar="FILE", type=types.file, help="the figures as JSON")
        one.set_defaults(overrides=())


def run(args: Namespace, console: Console) -> None:
    """Runs a bench, prints its table and writes its rows as JSON to `args.output`, if given."""
    bench = BENCHES[args.what]
    read = [getattr(args, name, None) for name in ("checkpoint", "config")]
    if args.output:
        check_output("--output", args.output, inputs=read)
    if getattr(args, "picture", None):
        check_output("--picture", args.picture, suffixes=PICTURES, inputs=[args.output])
    rows = bench.measure(args, console)
    if bench.table:
        console.print(bench.table(f"mubert bench {args.what}", rows))
    if args.output:
        _write(args.output, rows)


def _perception(args: Namespace, console: Console):
    from mubert_jax.bench.figure import picture
    from mubert_jax.bench.perception import PATCH, bench_perception
    from mubert_jax.interop.opening import SHIPPED, open_trained

    _config_is_not_read(args)
    if not args.checkpoint and args.size % PATCH:
        raise UserError(f"--size {args.size}: choose a multiple of {PATCH}, the side of a patch")
    trained = open_trained(args.checkpoint) if args.checkpoint else None
    rows = bench_perception(
        trained, args.conditions, args.subjects, args.size, args.align, console, args.methods
    )
    if args.picture:
        shown = trained or open_trained(SHIPPED)
        picture(shown, args.conditions, args.align, args.picture, args.methods)
        console.print(f"Picture: {args.picture}", markup=False, soft_wrap=True)
    return rows


def _flow(args: Namespace, console: Console):
    from mubert_jax.bench.flow import bench_flow
    from mubert_jax.interop.opening import SHIPPED, open_trained

    _config_is_not_read(args)
    trained = open_trained(args.checkpoint or SHIPPED)
    return bench_flow(trained, args.conditions, args.subjects, args.align, console, args.methods)


def _oracle(args: Namespace, console: Console):
    from mubert_jax.bench.oracle import bench_oracle
    from mubert_jax.interop.opening import SHIPPED, open_trained

    _config_is_not_read(args)
    trained, steps = open_trained(args.checkpoint or SHIPPED), args.steps
    return bench_oracle(trained, args.conditions, args.subjects, args.pairs, steps, console)


def _registration(args: Namespace, console: Console):
    from mubert_jax.bench.registration import bench_registration
    from mubert_jax.interop.opening import SHIPPED, open_trained

    _config_is_not_read(args)
    trained = open_trained(args.checkpoint or SHIPPED)
    return bench_registration(trained, args.batch_size, args.steps, console)


def _spot(args: Namespace, console: Console):
    from mubert_jax.bench.spot import bench_spot
    from mubert_jax.interop.opening import SHIPPED, open_trained
    from mubert_jax.spotting.comparing import DMA
    from mubert_jax.spotting.spotter import SpotOptions

    _config_is_not_read(args)
    crop = args.crop or ("face" if args.video else "none")
    options = SpotOptions(method=args.method, crop=crop)
    trained = open_trained(args.checkpoint or SHIPPED) if args.method == DMA else None
    return bench_spot(trained, options, args.video, args.seconds, args.steps, console)


def _calibration(args: Namespace, console: Console):
    from mubert_jax.bench.calibration import bench_calibration
    from mubert_jax.interop.opening import SHIPPED, open_trained
    from mubert_jax.spotting.comparing import DMA
    from mubert_jax.spotting.spotter import SpotOptions

    _config_is_not_read(args)
    options = SpotOptions(method=args.method, crop="none", threshold=args.threshold)
    trained = open_trained(args.checkpoint or SHIPPED) if args.method == DMA else None
    people = args.people, args.first_subject, args.seconds
    return bench_calibration(trained, options, *people, console)


def _step(args: Namespace, console: Console):
    from mubert_jax.bench.step import bench_step

    files = [args.config, *args.beside]
    config, *others = flags.configs(args, bench_step, files)
    beside = dict(zip((path.stem for path in args.beside), others, strict=True))
    return bench_step(config, args.batch_size, args.steps, args.peer, console, beside)


def _input(args: Namespace, console: Console):
    from mubert_jax.bench.input import bench_input

    config = _config(args, bench_input)
    return bench_input(args.data, config, args.batch_size, args.seconds, console)


def _sizes(args: Namespace, console: Console):
    from mubert_jax.bench.sizes import bench_sizes

    config = _config(args, bench_sizes)
    return bench_sizes(config, args.batch_size, args.steps, console)


def _devices(args: Namespace, console: Console):
    import jax

    from mubert_jax.bench.devices import VIRTUAL, bench_devices

    config = _config(args, bench_devices)
    # JAX splits a CPU only if it is told so before its first look at it.
    jax.config.update("jax_num_cpu_devices", VIRTUAL)
    powers = [2**i for i in range(len(jax.devices()).bit_length())]
    counts = [count for count in powers if args.batch_size % count == 0]
    return bench_devices(config, args.batch_size, counts, args.steps, console)


def _pod(args: Namespace, console: Console):
    import jax

    from mubert_jax.bench.pod import bench_pod

    config = _config(args, bench_pod)
    # A chip that is here is not asked: it may be none of those that are compiled for.
    jax.config.update("jax_platforms", "cpu")
    return bench_pod(config, args.topology, args.batch_size, console)


def _folds(args: Namespace, console: Console):
    from mubert_jax.bench.folds import bench_folds

    config = _config(args, bench_folds)
    return bench_folds(config, args.steps, console)


def _pitfalls(args: Namespace, console: Console):
    from mubert_jax.bench.pitfalls import bench_pitfalls

    return bench_pitfalls(args.data, args.epochs, console)


def _checkpoint(args: Namespace, console: Console):
    from mubert_jax.bench.checkpoint import bench_checkpoint

    config = _config(args, bench_checkpoint)
    return bench_checkpoint(config, args.batch_size, args.steps, console)


def _config(args: Namespace, function: Callable) -> "Config":
    (config,) = flags.configs(args, function, [args.config])
    return config


def _config_is_not_read(args: Namespace):
    from mubert_jax.config_files import key_of
    from mubert_jax.config_parts import NoPart, refuse_unread

    refuse_unread(NoPart, map(key_of, args.overrides), [], args.parser.flags().values())


def _rows(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of a line per row."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _columns(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of a line per figure and a column per row, which fits a narrow terminal."""
    table = Table(title=title, show_header=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for _ in rows:
        table.add_column(justify="right", overflow="fold")
    # A row that came to nothing has fewer figures.
    for name in max(rows, key=len):
        table.add_row(name.replace("_", " "), *(_shown(row.get(name)) for row in rows))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _write(path: Path, rows: list[dict[str, Any]]):
    with writing_errors(path, "choose another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(rows, indent=2) + "\n")


def _config_flag(parser: Parser):
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=types.config_file,
        default="configs/pretrain.py",
        help="sizes to run at (%(default)s); --config.KEY=VALUE overrides a key",
    )


def _batch_sizes(parser: Parser):
    _batch_size(parser, "+", [BATCH_SIZE])


def _batch_size(parser: Parser, nargs: str | None = None, default: int | list[int] = BATCH_SIZE):
    parser.add_argument(
        "--batch-size",
        metavar="B",
        type=types.count,
        nargs=nargs,
        default=default,
        help=f"pairs per step ({BATCH_SIZE})",
    )


def _pairs_at_once(parser: Parser):
    parser.add_argument(
        "--batch-size",
        metavar="B",
        type=types.count,
        default=16,  # where a larger batch has stopped being faster on two CPU cores
        help="pairs at a time (%(default)s)",
    )


def _pod_flags(parser: Parser):
    add = parser.add_argument
    add(
        "--topology",
        metavar="CHIP:SHAPE",
        nargs="+",
        default=["v5e:2x4"],
        help="v5e:2x4, v5p:2x2x2, v6e:2x4, ..., h100:1x1x8, h200:1x1x1 (%(default)s)",
    )
    add(
        "--batch-size",
        metavar="B",
        type=types.count,
        default=16,  # fits all chips at the paper's size
        help="pairs per step and chip (%(default)s)",
    )


def _steps(default: int, help: str = "how many are timed") -> Callable[[Parser], None]:
    def add(parser: Parser):
        parser.add_argument(
            "--steps",
            metavar="N",
            type=types.count,
            default=default,
            help=f"{help} (%(default)s)",
        )

    return add


def _peers(parser: Parser):
    parser.add_argument(
        "--peer",
        choices=("torch", "torch-sdpa", "torch-compile"),
        nargs="+",
        default=[],
        help="PyTorch beside: plain eager, with fused attention, and compiled",
    )
    parser.add_argument(
        "--beside",
        metavar="FILE",
        type=types.config_file,
        nargs="+",
        default=[],
        help="other configs, whose steps take turns with it; overrides are for all of them",
    )


def _input_flags(parser: Parser):
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        help="a prepared folder; without one, noise frames are made",
    )
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=5.0,  # a longer time averages over more of the machine's other work
        help="time of each measurement (%(default)s)",
    )


def _pitfalls_flags(parser: Parser):
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        required=True,
        help="labelled clips, as mubert prepare flow makes them",
    )
    add(
        "--epochs",
        metavar="N",
        type=types.count,
        default=200,  # the more, the more there is to pick from
        help="of STSTNet (%(default)s)",
    )


def _spot_flags(parser: Parser):
    add = parser.add_argument
    flags.spotting_method(parser)
    add("--video", metavar="FILE", type=types.path, help="a video (else a person is drawn)")
    add(
        "--crop",
        choices=("face", "center", "none"),
        help="what to cut out (face of a --video, else none)",
    )
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=20.0,  # all lags are read from 16 seconds on
        help="how much is drawn (%(default)g)",
    )


def _calibration_flags(parser: Parser):
    add = parser.add_argument
    flags.spotting_method(parser)
    add("--people", metavar="N", type=types.count, default=4, help="who are drawn (%(default)s)")
    add("--first-subject", metavar="N", type=int, default=0, help="of seed 1 (%(default)s)")
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=60.0,  # shorter ones hold fewer blinks, and cannot tell slow changes
        help="of each (%(default)g)",
    )
    add(
        "--threshold",
        metavar="X",
        type=types.positive,
        default=0.1,  # below all that ships
        help="the lowest score that is counted (%(default)g)",
    )


def _perception_flags(parser: Parser):
    add = parser.add_argument
    add("--picture", metavar="FILE", type=types.file, help="what each method sees")
    add(
        "--size",
        metavar="N",
        type=types.count,
        default=112,  # that of the shipped weights
        help="pixels (%(default)s)",
    )
    _align(parser, flags.ALIGN[1:], "; poi is the checkpoint's")
    add("--methods", metavar="M", nargs="+", help="baselines: farneback, eulerian, ... (all)")


def _flow_flags(parser: Parser):
    _align(parser, flags.ALIGN_FRAMES)
    parser.add_argument("--methods", metavar="M", nargs="+", help="farneback, dis, tvl1, raft")


def _align(parser: Parser, choices: Sequence[str], more: str = ""):
    parser.add_argument(
        "--align",
        choices=choices,
        default="robust",
        help=f"the registration that every method gets{more} (%(default)s)",
    )


def _oracle_flags(parser: Parser):
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=types.count,
        default=1500,  # more people show more, and take longer to draw
        help="to train on (%(default)s)",
    )


@dataclass(frozen=True)
class Bench:
    """One thing that is measured.

    Attributes:
      measure: makes the rows from the arguments and a console.
      summary: a noun phrase for the help.
      flags: functions that add the flags that it reads to a parser.
      table: lays out a title and rows; None if `measure` prints them itself.
      example: the arguments of an example, after its name.
    """

    measure: Callable[[Namespace, Console], list[dict[str, Any]]]
    summary: str
    flags: tuple[Callable[[Parser], None], ...]
    table: Callable[[str, list[dict[str, Any]]], Table] | None = None
    example: str = ""


# The default steps are few: at the paper's size each takes seconds on a CPU. The oracle's 1000 are
# those of docs/benchmark.md, where its score has stopped growing after half of them.
BENCHES = {
    "step": Bench(
        _step,
        "a training step",
        (_config_flag, _batch_sizes, _steps(5), _peers),
        _columns,
        " --config=configs/pretrain.py --batch-size 4 16 --peer torch-sdpa",
    ),
    "sizes": Bench(
        _sizes,
        "how a step grows with image, width and depth",
        (_config_flag, _batch_sizes, _steps(3)),
        _columns,
    ),
    "devices": Bench(
        _devices,
        "what splitting a step over devices costs",
        (_config_flag, _batch_size, _steps(3)),
        _rows,
        " --batch-size=8",
    ),
    "pod": Bench(
        _pod,
        "the step compiled for TPUs and GPUs that are not here, and what bounds it",
        (_config_flag, _pod_flags),
        _columns,
        " --config=configs/beyond.py --topology v5e:2x4 h100:1x1x8",
    ),
    "checkpoint": Bench(
        _checkpoint,
        "what saving costs",
        (_config_flag, _batch_sizes, _steps(5)),
        _columns,
    ),
    "folds": Bench(
        _folds,
        "recognizers together and one by one",
        (_config_flag, _steps(3)),
        _rows,
        " --config=configs/finetune.py",
    ),
    "pitfalls": Bench(
        _pitfalls,
        "what leaks and lenient scores do to a figure of recognition",
        (_pitfalls_flags,),
        example=" --data=data/flow",
    ),
    "input": Bench(
        _input,
        "the pipeline",
        (_config_flag, _batch_sizes, _input_flags),
        _columns,
        " --data=data/mine --batch-size=64",
    ),
    "registration": Bench(
        _registration,
        "registering pairs one by one, in batches, and while looking",
        (flags.trained, _pairs_at_once, _steps(10)),
        _rows,
        " --batch-size=32",
    ),
    "spot": Bench(
        _spot,
        "the stages of spotting",
        (flags.trained, _spot_flags, _steps(3)),
        _rows,
        " --seconds=20",
    ),
    "calibration": Bench(
        _calibration,
        "the scores of spotting's false alarms on people who express nothing",
        (flags.trained, _calibration_flags),
        _rows,
        " --method=difference",
    ),
    "perception": Bench(
        _perception,
        "maps of known movements",
        (flags.trained, flags.benchmark, _perception_flags),
        example=" --checkpoint=runs/mine --picture=maps.png",
    ),
    "flow": Bench(
        _flow,
        "optical flow and DMA's displacement against known movements, in pixels",
        (flags.trained, flags.benchmark, _flow_flags),
        example=" --conditions clean all --methods farneback dis",
    ),
    "oracle": Bench(
        _oracle,
        "maps of known movements, beside those of a copy that was told the truth",
        (flags.trained, flags.benchmark, _oracle_flags, _steps(1000, "it is trained")),
        example=" --checkpoint=runs/mine",
    ),
}

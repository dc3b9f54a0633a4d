"""`mubert bench`: what a step, a pipeline or a map is worth, measured side by side in one run."""

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax.data.files import write_text, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.outputs import PICTURES, check_output


def run(args, console: Console):
    """Runs `args.what`, prints its table and writes its rows as JSON where `args.output` says."""
    measure, table = BENCHES[args.what]
    if args.output:
        check_output("--output", args.output, inputs=[args.checkpoint, args.config])
    if args.picture:
        check_output("--picture", args.picture, suffixes=PICTURES, inputs=[args.output])
    rows = measure(args, console)
    if table:
        console.print(table(f"mubert bench {args.what}", rows))
    if args.output:
        _write(args.output, rows)


def _perception(args, console):
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


def _oracle(args, console):
    from mubert_jax.bench.oracle import bench_oracle
    from mubert_jax.interop.opening import SHIPPED, open_trained

    _config_is_not_read(args)
    trained, steps = open_trained(args.checkpoint or SHIPPED), args.steps or 1000
    return bench_oracle(trained, args.conditions, args.subjects, args.pairs, steps, console)


def _step(args, console):
    from mubert_jax.bench.step import bench_step

    config = _config(args, bench_step)
    return bench_step(config, args.batch_size, args.steps or 5, args.peer, console)


def _input(args, console):
    from mubert_jax.bench.input import bench_input

    config = _config(args, bench_input)
    return bench_input(args.data, config, args.batch_size, args.seconds, console)


def _sizes(args, console):
    from mubert_jax.bench.sizes import bench_sizes

    config = _config(args, bench_sizes)
    return bench_sizes(config, args.batch_size, args.steps or 3, console)


def _devices(args, console):
    import jax

    from mubert_jax.bench.devices import VIRTUAL, bench_devices

    config = _config(args, bench_devices)
    # What a CPU is to be split into has to be said before JAX looks at it.
    jax.config.update("jax_num_cpu_devices", VIRTUAL)
    powers = [2**i for i in range(len(jax.devices()).bit_length())]
    counts = [count for count in powers if args.batch_size[0] % count == 0]
    return bench_devices(config, args.batch_size[0], counts, args.steps or 3, console)


def _folds(args, console):
    from mubert_jax.bench.folds import bench_folds

    config = _config(args, bench_folds)
    return bench_folds(config, args.steps or 3, console)


def _checkpoint(args, console):
    from mubert_jax.bench.checkpoint import bench_checkpoint

    config = _config(args, bench_checkpoint)
    return bench_checkpoint(config, args.batch_size, args.steps or 5, console)


def _config(args, function):
    """What `function` reads of the config; refuses overrides that it does not."""
    from mubert_jax.config_files import load_part
    from mubert_jax.config_parts import read_by

    (config,) = load_part(read_by(function), [args.config], args.overrides, vars(args))
    return config


def _config_is_not_read(args):
    from mubert_jax.config_files import key_of
    from mubert_jax.config_parts import NoPart, refuse_unread

    refuse_unread(NoPart, map(key_of, args.overrides), [], vars(args))


def _rows(title: str, rows: list[dict]) -> Table:
    """One line a row."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _columns(title: str, rows: list[dict]) -> Table:
    """One line a figure, one column a row of `rows`: readable on a narrow terminal."""
    table = Table(title=title, show_header=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for _ in rows:
        table.add_column(justify="right")
    for name in rows[0]:
        table.add_row(name.replace("_", " "), *(_shown(row[name]) for row in rows))
    return table


def _shown(value) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _write(path: Path, rows):
    with writing_errors(path, "choose another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(rows, indent=2) + "\n")


# What is measured, and how its rows are shown; None: it shows its own tables.
BENCHES = {
    "step": (_step, _columns),
    "sizes": (_sizes, _columns),
    "devices": (_devices, _rows),
    "checkpoint": (_checkpoint, _columns),
    "folds": (_folds, _rows),
    "input": (_input, _columns),
    "perception": (_perception, None),
    "oracle": (_oracle, None),
}

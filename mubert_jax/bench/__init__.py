"""`mubert bench`: what a step, a pipeline or a map is worth, measured side by side in one run."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mubert_jax.errors import UserError


def run(args, console: Console):
    """Runs `args.what`, prints its table and writes its rows as JSON where `args.output` says."""
    from mubert_jax.config_files import load_config

    if args.what == "perception":
        from mubert_jax.bench.figure import picture
        from mubert_jax.bench.perception import bench_perception
        from mubert_jax.interop.opening import SHIPPED, open_trained

        trained = open_trained(args.checkpoint) if args.checkpoint else None
        rows = bench_perception(trained, args.conditions, args.subjects, args.size, console)
        if args.picture:
            picture(trained or open_trained(SHIPPED), args.conditions, args.picture)
            console.print(f"Picture: {args.picture}", markup=False, soft_wrap=True)
        if args.output:
            _write(args.output, rows)
        return
    if args.what == "ceiling":
        from mubert_jax.bench.ceiling import bench_ceiling
        from mubert_jax.interop.opening import SHIPPED, open_trained

        trained = open_trained(args.checkpoint or SHIPPED)
        rows = bench_ceiling(
            trained, args.conditions, args.subjects, args.pairs, args.steps or 1000, console
        )
        if args.output:
            _write(args.output, rows)
        return
    config = load_config(args.config, args.overrides)
    if args.what == "step":
        from mubert_jax.bench.step import bench_step

        rows = bench_step(config, args.batch_size, args.steps or 5, args.peer, console)
    else:
        from mubert_jax.bench.input import bench_input

        size = config.model.image_size
        rows = bench_input(args.data, size, args.batch_size, args.seconds, console)
    console.print(_table(f"mubert bench {args.what}", rows))
    if args.output:
        _write(args.output, rows)


def _table(title: str, rows: list[dict]) -> Table:
    """One line a figure, one column a row of `rows`: readable on a narrow terminal."""
    table = Table(title=title, show_header=False)
    table.add_column()
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
    try:
        path.write_text(json.dumps(rows, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); check --output") from error

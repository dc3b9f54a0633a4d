"""Metrics on disk: TensorBoard event files, metrics.csv and metrics.jsonl."""

import csv
import json
from pathlib import Path

from tensorboardX import SummaryWriter


class MetricsWriter:
    """Writes one row of scalars a call; a context manager.

    A run that goes on at `start_step` first drops the rows that the killed run wrote after its last
    checkpoint, so every step is there once.
    """

    def __init__(self, workdir: Path, start_step: int):
        kept = [row for row in read_metrics(workdir) if row["step"] <= start_step]
        self._workdir = workdir
        self._columns: list[str] = []
        self._jsonl = (workdir / "metrics.jsonl").open("w")
        self._csv = (workdir / "metrics.csv").open("w", newline="")
        self._tensorboard = SummaryWriter(str(workdir), purge_step=start_step + 1)
        for row in kept:
            self._append(row)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self._tensorboard, self._jsonl, self._csv):
            stream.close()

    def write(self, step: int, metrics: dict[str, float]):
        self._append({"step": step, **metrics})
        for name, value in metrics.items():
            self._tensorboard.add_scalar(name, value, step)
        self._tensorboard.flush()

    def _append(self, row):
        self._jsonl.write(json.dumps(row) + "\n")
        self._jsonl.flush()
        new_columns = [name for name in row if name not in self._columns]
        if new_columns:
            self._columns += new_columns
            self._csv.seek(0)
            self._csv.truncate()
            rows = read_metrics(self._workdir)
        else:
            rows = [row]
        table = csv.DictWriter(self._csv, self._columns)
        if new_columns:
            table.writeheader()
        table.writerows(rows)
        self._csv.flush()


def read_metrics(workdir: Path) -> list[dict[str, float]]:
    """The rows of metrics.jsonl, oldest first; a last line cut short by a kill is left out."""
    path = workdir / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows

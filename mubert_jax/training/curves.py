"""training.png: the curves of a run's metrics."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from mubert_jax.data.files import replacing
from mubert_jax.training.evaluator import Evaluation
from mubert_jax.training.writers import read_metrics

# Panels per row: four fit the figure's 15 inches.
COLUMNS = 4
LOSS = {"loss": {"loss": "L, the weighted sum"}}
LEARNING_RATE = {"learning rate": {"learning_rate": "AdamW"}}


def _title(evaluation: Evaluation, rows: list[dict[str, float]]) -> str:
    name, best = evaluation.name.replace("_", " "), evaluation.best(rows)
    return f"{name}: best at step {best['step']}" if best else name


def plot_training(
    workdir: Path,
    panels: Mapping[str, Mapping[str, str]],
    evaluations: Sequence[Evaluation] = (),
) -> Path:
    """Draws `workdir`/training.png from its metrics; returns its path.

    Args:
      panels: title -> metric -> label, drawn between those of the loss and the learning rate if the
        run has any of the metrics.
      evaluations: each gets a panel, whose title names the best step.
    """
    rows = read_metrics(workdir)
    seen = {name for row in rows for name, value in row.items() if value}
    panels = {title: curves for title, curves in panels.items() if not seen.isdisjoint(curves)}
    panels = LOSS | panels | LEARNING_RATE
    panels |= {_title(e, rows): {e.headline: e.evaluator.headline} for e in evaluations}
    lines = math.ceil(len(panels) / COLUMNS)
    figure, axes = plt.subplots(
        lines, COLUMNS, figsize=(15, 3 * lines), layout="constrained", squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (title, curves) in zip(axes.flat, panels.items(), strict=False):
        for name, label in curves.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            if any(value for _, value in points):
                axis.plot(*zip(*points, strict=True), label=label, linewidth=1.2)
        axis.set_title(title, fontsize=11)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8, frameon=False)
        else:
            axis.text(0.5, 0.5, "not in this run", ha="center", transform=axis.transAxes)
            axis.set_xticks([])
            axis.set_yticks([])
    for axis in axes[-1]:
        axis.set_xlabel("step")
    figure.suptitle(f"Pretraining in {workdir}", fontsize=12)
    path = workdir / "training.png"
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
    return path

"""training.png: what a run's metrics did."""

from pathlib import Path

import matplotlib.pyplot as plt

from mubert_jax.data.files import replacing
from mubert_jax.training.writers import read_metrics

PANELS = {
    "loss": {"loss": "L, the weighted sum"},
    "reconstruction": {"reconstruction": "L_r, eq. (14)"},
    "agreement and spotting": {"agreement": "L_agg, eq. (10)", "spotting": "swapped patches"},
    "known movements": {"movement": "cross-entropy of the map"},
    "POI's expectation": {"expectation": "cross-entropy of S"},
    "contextual token (0 = collapse)": {"contextual_std": "std over the batch"},
    "diag(Â)": {"diagonal_swapped": "swapped patches", "diagonal_kept": "kept patches"},
    "learning rate": {"learning_rate": "AdamW"},
}


def plot_training(workdir: Path) -> Path:
    """Draws `workdir`/training.png from its metrics; returns its path."""
    rows = read_metrics(workdir)
    figure, axes = plt.subplots(2, 4, figsize=(15, 6), layout="constrained")
    for axis, (title, curves) in zip(axes.flat, PANELS.items(), strict=True):
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

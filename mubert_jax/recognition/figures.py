"""Figures of a page, as SVG in its colours: confusion matrices and curves."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from mubert_jax.recognition.metrics import Summary
from mubert_jax.recognition.predictions import KEYS

# The approximate width of a letter, in pixels, by which figures make room for names.
LETTER = 7.2
# The number of line colours that page.html defines for light and dark.
COLOURS = 6


def confusion_figure(summary: Summary) -> Markup:
    """The confusion matrix: rows are the truth, the shade is the share of the row's clips."""
    classes, counts = summary.scores[0].classes, summary.confusion
    longest = max(len(name) for name in classes)
    left, top, side = 24 + LETTER * longest, 40, max(64, LETTER * longest + 10)
    size = side * len(classes)
    digits = 0 if len(summary.scores) == 1 else 1
    parts = [_words(left + size / 2, 12, "taken for", "middle", "faint")]
    for i, name in enumerate(classes):
        parts.append(_words(left + (i + 0.5) * side, 32, name, "middle"))
        parts.append(_words(left - 8, top + (i + 0.5) * 56 + 4, name, "end"))
        for j, count in enumerate(counts[i]):
            share = count / counts[i].sum() if counts[i].sum() else 0.0
            x, y = left + j * side, top + i * 56
            ink = "on" if share > 0.5 else "off"
            parts.append(
                f'<rect class="heat" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2:.1f}" '
                f'height="54" rx="4" fill-opacity="{0.05 + 0.95 * share:.3f}"/>'
            )
            middle = x + side / 2
            if counts[i].sum():
                parts.append(_words(middle, y + 27, f"{100 * share:.0f}%", "middle", f"big {ink}"))
            parts.append(_words(middle, y + 43, f"{count:.{digits}f}", "middle", f"small {ink}"))
    title = f"Confusion of {summary.name}: rows are the truth, columns what clips were taken for"
    return _svg(left + size + 4, top + 56 * len(classes) + 4, title, parts)


def curve_figures(table: pd.DataFrame) -> list[tuple[str, Markup]]:
    """(name, picture) of every curve: the mean over folds for each seed, and the span of folds."""
    names = [name for name in table.columns if name not in KEYS]
    return [(name, _curve(table, name)) for name in names if np.isfinite(table[name]).any()]


def _curve(table: pd.DataFrame, name: str) -> Markup:
    width, height, left, right, top, bottom = 460, 250, 56, 12, 26, 34
    rows = table[np.isfinite(table[name])]
    by_epoch = rows.groupby("epoch")[name]
    low, high = by_epoch.quantile(0.1), by_epoch.quantile(0.9)
    means = rows.groupby(["seed", "epoch"])[name].mean()
    ticks_y = _ticks(min(low.min(), means.min()), max(high.max(), means.max()))
    first, last = rows["epoch"].min(), rows["epoch"].max()

    def x(epoch: float) -> float:
        return left + (width - left - right) * (epoch - first) / max(last - first, 1)

    def y(value: float) -> float:
        span = ticks_y[-1] - ticks_y[0]
        return height - bottom - (height - top - bottom) * (value - ticks_y[0]) / span

    parts = []
    for tick in ticks_y:
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" '
            f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
        parts.append(_words(left - 8, y(tick) + 4, f"{tick:.4g}", "end", "small off"))
    for tick in _ticks(first, last, whole=True):
        if first <= tick <= last:
            parts.append(_words(x(tick), height - 16, f"{tick:.0f}", "middle", "small off"))
    parts.append(_words((left + width - right) / 2, height - 2, "epoch", "middle", "faint"))
    there, back = _points(low, x, y), _points(high[::-1], x, y)
    parts.append(f'<polygon class="band" points="{there} {back}"/>')
    seeds = means.index.get_level_values("seed").unique()
    for i, seed in enumerate(seeds):
        parts.append(
            f'<polyline class="line c{i % COLOURS}" points="{_points(means[seed], x, y)}">'
            f"<title>seed {seed:.0f}</title></polyline>"
        )
        if i < COLOURS:
            across = width - right - 50 * (min(len(seeds), COLOURS) - 1 - i)
            parts.append(_words(across, 11, f"seed {seed:.0f}", "end", f"name c{i}"))
    title = f"{name} by epoch: a line per seed, the mean over folds; the band spans four fifths"
    return _svg(width, height, title, parts)


def _ticks(low: float, high: float, whole: bool = False) -> Sequence[float]:
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return MaxNLocator(5, integer=whole).tick_values(low, high)


def _points(values: pd.Series, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return " ".join(
        f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in zip(values.index, values, strict=True)
    )


def _words(x: float, y: float, text: str, anchor: str, kind: str = "off") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg role="img" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def range_figure(
    axis: tuple[float, float],
    low: float,
    at: float,
    high: float,
    lines: Sequence[float],
    ring: float | None,
) -> Markup:
    """An interval with a dot on an axis, from its start to its end; `lines` across, and a ring."""
    width, height = 230, 26
    start, end = axis

    def x(value: float) -> float:
        return 6 + (width - 12) * (value - start) / (end - start)

    middle = height / 2
    parts = [
        f'<line class="axis" x1="{x(line):.1f}" x2="{x(line):.1f}" y1="0" y2="{height}"/>'
        for line in lines
    ]
    if np.isfinite([low, high]).all():
        parts.append(
            f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle}" '
            f'y2="{middle}"/>'
        )
    parts.append(f'<circle class="dot" cx="{x(at):.1f}" cy="{middle}" r="5"/>')
    if ring is not None:
        parts.append(f'<circle class="ring" cx="{x(ring):.1f}" cy="{middle}" r="4"/>')
    return _svg(width, height, f"{100 * at:.1f} [{100 * low:.1f}, {100 * high:.1f}]", parts)

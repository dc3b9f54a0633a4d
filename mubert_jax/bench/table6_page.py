"""How `mubert table6` shows its rows: as Markdown, CSV, a picture, and a page that holds it."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mubert_jax.bench.table6_rows import FROZEN, TUNED, Row
from mubert_jax.data.files import replacing, write_text


@dataclass(frozen=True)
class Score:
    """UF1 and UAR of a recognizer, from 0 to 1, and their 95 % intervals over people."""

    uf1: float
    uar: float
    of_uf1: tuple[float, float]
    of_uar: tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """A row and what was measured of it; `failed` says why there is nothing."""

    row: Row
    scores: Mapping[str, Score]
    failed: str = ""


COLUMNS = (
    "method",
    "frozen: UF1",
    "frozen: UAR",
    "fine-tuned: UF1",
    "fine-tuned: UAR",
    "the paper: UF1",
    "the paper: UAR",
)


def cells(found: Scored) -> list[str]:
    """A value per name in `COLUMNS`, in percent."""

    def of(way: str) -> list[str]:
        if way not in found.scores:
            return ["", ""]
        score = found.scores[way]
        pairs = (score.uf1, score.of_uf1), (score.uar, score.of_uar)
        return [f"{100 * x:.1f} [{100 * low:.1f}, {100 * high:.1f}]" for x, (low, high) in pairs]

    paper = [f"{value:.2f}" for value in found.row.paper] if found.row.paper else ["", ""]
    title = found.row.title + (f" (failed: {found.failed})" if found.failed else "")
    return [title, *of(FROZEN), *of(TUNED), *paper]


def write_table(scored: Sequence[Scored], notes: Sequence[str], workdir: Path) -> None:
    """Writes table6.md, table6.csv, table6.png and table6.html, which holds the picture."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join(cells(found)) + " |" for found in scored]
    write_text(workdir / "table6.md", "\n".join([*lines, "", *notes]) + "\n")
    numbers = [
        {
            "row": found.row.name,
            "way": way,
            "uf1": score.uf1,
            "uf1_low": score.of_uf1[0],
            "uf1_high": score.of_uf1[1],
            "uar": score.uar,
            "uar_low": score.of_uar[0],
            "uar_high": score.of_uar[1],
        }
        for found in scored
        for way, score in found.scores.items()
    ]
    with replacing(workdir / "table6.csv") as temporary:
        pd.DataFrame(numbers).to_csv(temporary, index=False, float_format="%.4f")
    _picture(scored, workdir / "table6.png")
    write_text(workdir / "table6.html", _page(scored, notes, workdir / "table6.png"))


def _picture(scored: Sequence[Scored], path: Path):
    """UF1 with its interval per row and way; the paper's, on other data, beside it."""
    figure, (ours, papers) = plt.subplots(
        1,
        2,
        figsize=(9.5, 1.4 + 0.36 * len(scored)),
        sharey=True,
        width_ratios=(3, 1.4),
        layout="constrained",
    )
    for offset, way, color in ((-0.14, FROZEN, "tab:blue"), (0.14, TUNED, "tab:orange")):
        there = [(i, x.scores[way]) for i, x in enumerate(scored) if way in x.scores]
        if not there:
            continue
        values = np.array([score.uf1 for _, score in there])
        bounds = np.array([score.of_uf1 for _, score in there])
        errors = np.nan_to_num(np.abs(bounds - values[:, None]).T)
        places = [i + offset for i, _ in there]
        label = {FROZEN: "linear layer on the frozen encoder", TUNED: "full fine-tuning"}[way]
        ours.errorbar(
            100 * values,
            places,
            xerr=100 * errors,
            fmt="o",
            color=color,
            capsize=2.5,
            label=label,
        )
    there = [(i, x.row.paper[0]) for i, x in enumerate(scored) if x.row.paper]
    papers.plot([value for _, value in there], [i for i, _ in there], "D", color="tab:gray")
    ours.set_yticks(range(len(scored)), [found.row.title for found in scored])
    ours.set_ylim(len(scored) - 0.5, -0.5)
    ours.set_title("UF1 in %, 95 % over people", fontsize=10)
    papers.set_xlim(left=0)
    papers.set_title("the paper, on CAS(ME)³", fontsize=10)
    for axis in (ours, papers):
        axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    plt.close(figure)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Table 6</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #8884; }}
th, td {{ text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; min-width: 10rem; }}
td:nth-last-child(-n+2) {{ opacity: .65; }}
img {{ max-width: 100%; background: white; border-radius: .4rem; }}
</style>
<h1>Table 6: recognition by pretraining, in percent</h1>
<div class="wide"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
{notes}
<p><img alt="UF1 of every row, with intervals over people" src="data:image/png;base64,{picture}">
</html>
"""


def _page(scored: Sequence[Scored], notes: Sequence[str], picture: Path):
    def row(values: Sequence[str], kind: str) -> str:
        return "".join(f"<{kind}>{html.escape(value)}</{kind}>" for value in values)

    return _PAGE.format(
        head=row(COLUMNS, "th"),
        body="\n".join(f"<tr>{row(cells(found), 'td')}</tr>" for found in scored),
        notes="\n".join(f"<p>{html.escape(note)}" for note in notes),
        picture=base64.b64encode(picture.read_bytes()).decode(),
    )

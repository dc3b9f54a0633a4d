"""The report of a comparison: compare.html, .md, .csv and .tex, and methods.bib."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.recognition.comparison_runs import Failed
from mubert_jax.recognition.comparison_tables import (
    drawn,
    figures_table,
    hardest_table,
    lines,
    matrix_table,
    pairs_table,
    ranked_table,
    sets_table,
    tiles,
)
from mubert_jax.recognition.figures import confusion_figure
from mubert_jax.recognition.latex import latex
from mubert_jax.recognition.methods import Method, doubts, load_methods
from mubert_jax.recognition.metrics import deviation
from mubert_jax.recognition.page import render
from mubert_jax.recognition.published import published as known
from mubert_jax.recognition.report import sets_and_classes, warnings_of
from mubert_jax.recognition.report_tables import over_seeds, published_table
from mubert_jax.recognition.significance import Difference, differences
from mubert_jax.recognition.tables import Table, markdown

TEMPLATE = "comparison.html"
FILES = ("compare.html", "compare.md", "compare.csv", "compare.tex", "methods.bib")
_KEY = re.compile(r"@\w+\{([^,\s]+),")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The content of the files, before it is written.

    Attributes:
      methods: the one of the highest UF1 first.
      failed: networks that were asked for and could not be measured.
      published: the key of the published numbers to print beside, or None.
    """

    methods: tuple[Method, ...]
    failed: tuple[Failed, ...]
    published: str | None

    @cached_property
    def pairs(self) -> list[Difference]:
        return differences(
            np.array([method.uf1 for method in self.methods]),
            np.stack([method.draws for method in self.methods]),
            np.stack([method.right for method in self.methods]),
        )

    @property
    def title(self) -> str:
        if self.published:
            return known(self.published).title
        return sets_and_classes(self.methods[0].predictions)

    @property
    def protocol(self) -> str:
        """The protocol of all methods; "" if they have none in common."""
        protocols = {method.facts.protocol for method in self.methods}
        return protocols.pop() if len(protocols) == 1 else ""

    @property
    def stamps(self) -> list[str]:
        """Why numbers are not comparable, each with the methods that it is said of."""
        of: dict[str, list[str]] = {}
        for method in self.methods:
            for stamp in method.stamps:
                of.setdefault(stamp, []).append(method.title)
        return [f"{', '.join(titles)}: {stamp}" for stamp, titles in of.items()]

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know, listed once."""
        found = [f"{one.title} could not be measured: {one.reason}" for one in self.failed]
        found += doubts(self.methods)
        first, benchmark = self.methods[0], known(self.published) if self.published else None
        found += warnings_of(first.predictions, first.summaries, benchmark)
        for method in self.methods:
            found += (*method.facts.warnings, *method.predictions.notes)
        return list(dict.fromkeys(found))

    @property
    def seeds(self) -> str:
        """The seeds in words."""
        different = {method.predictions.seeds for method in self.methods}
        return over_seeds(different.pop()) if len(different) == 1 else "Seeds differ."

    def lines(self) -> list[str]:
        """What a reader should take away, a sentence each."""
        return [*lines(self.methods, self.pairs), self.seeds]

    def ranked(self) -> Table:
        return ranked_table(self.methods, self.failed)

    def tables(self) -> list[Table]:
        """All that follow the ranked one."""
        found = [sets_table(self.methods)]
        if self.pairs:
            found += [matrix_table(self.methods, self.pairs), pairs_table(self.methods, self.pairs)]
        return [table for table in [*found, hardest_table(self.methods), self.beside()] if table]

    def beside(self) -> Table | None:
        """The published figures."""
        if not self.published:
            return figures_table(self.methods)
        measured = {method.title: method.full for method in self.methods}
        return published_table(known(self.published), measured)


def write_comparison(
    folders: Sequence[Path],
    output: Path,
    failed: Sequence[Failed] = (),
    published: str | None = None,
) -> Comparison:
    """Compares finished runs and writes `FILES` into `output`, which is created if necessary.

    Args:
      failed: Rows that were asked for and have no run.
      published: The key of the published numbers to print beside; by default the runs' own.

    Raises:
      UserError: as `load_methods`; `published` is not known; the files cannot be written.
    """
    methods = load_methods(folders)
    keys = [published, *(method.facts.published for method in methods)]
    found = Comparison(tuple(methods), tuple(failed), next((key for key in keys if key), None))
    texts = {
        "compare.html": _html(found),
        "compare.md": _markdown(found),
        "compare.tex": _latex(found),
        "methods.bib": "\n".join(_references(methods)),
    }
    with writing_errors(output, "give another --output"):
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(output / name, text)
        with replacing(output / "compare.csv") as temporary:
            rows = pd.DataFrame(_rows(found))
            rows.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    return found


def _html(found: Comparison) -> str:
    one = found.methods[0].predictions
    return render(
        TEMPLATE,
        found=found,
        stamps=found.stamps,
        tiles=tiles(found.methods, found.pairs),
        classes=", ".join(one.classes),
        tables=[drawn(found.ranked(), found.methods), *found.tables()],
        confusions=[
            (method.title, confusion_figure(replace(method.full, name=method.title)))
            for method in found.methods
        ],
        several=any(len(method.predictions.seeds) > 1 for method in found.methods),
    )


def _markdown(found: Comparison) -> str:
    text = [f"# Methods compared: {found.title}", ""]
    if found.protocol:
        text += [f"Protocol: {found.protocol}", ""]
    text += [*(f"- {line}" for line in found.lines()), ""]
    if found.warnings:
        text += ["Warnings:", "", *(f"- {warning}" for warning in found.warnings), ""]
    tables = [found.ranked(), *found.tables()]
    return "\n".join([*text, *(markdown(table, found.stamps) for table in tables)])


def _latex(found: Comparison) -> str:
    keys = [_key(method) for method in found.methods]
    tables = [latex(ranked_table(found.methods), "tab:methods", found.stamps, keys)]
    if sets := sets_table(found.methods):
        tables.append(latex(sets, "tab:data-sets", found.stamps))
    return "% \\usepackage{booktabs}; the references are in methods.bib.\n" + "\n".join(tables)


def _key(method: Method) -> str:
    """The key of a method's BibTeX entry, "" if it has none."""
    found = _KEY.search(method.facts.reference)
    return found[1] if found else ""


def _references(methods: Iterable[Method]) -> list[str]:
    """The BibTeX entries of the methods, each once."""
    return list(dict.fromkeys(one.facts.reference for one in methods if one.facts.reference))


def _rows(found: Comparison) -> Iterable[dict[str, Any]]:
    """A row per method and subset, then one per row that failed; ratios from 0 to 1."""
    for method in found.methods:
        cost = method.cost
        for number, summary in enumerate(method.summaries):
            row: dict[str, Any] = {"method": method.title, "run": method.name}
            row |= {"subset": summary.name, "clips": summary.clips, "people": summary.subjects}
            row["seeds"] = len(method.predictions.seeds)
            for name in ("uf1", "uar", "mean_precision", "accuracy"):
                values = summary.values(name)
                low, high = summary.intervals[name]
                row |= {name: values.mean(), f"{name}_std": float(deviation(values))}
                row |= {f"{name}_low": low, f"{name}_high": high}
            for name in ("uf1", "uar"):
                picked = None if number else method.picked.get(name)
                row[f"picked_{name}"] = picked
            row |= {
                "seconds": cost.seconds if cost else None,
                "cpu_seconds": cost.cpu_seconds if cost else None,
                "stamps": "; ".join(method.stamps),
                "failed": "",
            }
            yield row
    for one in found.failed:
        yield {"method": one.title, "failed": one.reason}

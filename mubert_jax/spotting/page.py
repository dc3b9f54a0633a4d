"""The page of one spotted recording: one file that needs no network."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mubert_jax.spotting.readings import Curve

TEMPLATE = Path(__file__).with_name("timeline.html")
# Of all that was found, the columns that the page reads.
_COLUMNS = ("what", "onset", "apex", "offset", "start", "peak", "end", "score", "emotion")
# Points of the curve that a page holds; of longer recordings, the highest of several are kept.
_POINTS = 40_000


def page(
    facts: dict[str, Any], curves: Sequence[Curve], pictures: Sequence[list[str] | None]
) -> str:
    """The page as HTML.

    Args:
      facts: as in NAME.json.
      curves: the score over every stretch.
      pictures: data URIs per finding, of onset, apex, offset and movement, in the order of their
        onsets; None where there are none.
    """
    rows = [row for key in ("intervals", "blinks", "speech") for row in facts[key]]
    rows = sorted([*rows, *facts["below the threshold"]], key=lambda row: row["onset"])
    found = [
        {key: _short(row[key]) for key in _COLUMNS} | {"pictures": shown}
        for row, shown in zip(rows, pictures, strict=True)
    ]
    data = {
        "seconds": facts["frames"] / facts["fps"],
        "frame": 1 / facts["fps"],
        "threshold": facts["threshold"],
        "least": facts["threshold"] * facts["kept"],
        "curves": _curves(curves),
        "found": found,
        "holes": facts["holes"],
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    # In a script element, only "<" could end it.
    script = json.dumps(data).replace("<", "\\u003c")
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(facts=facts, data=script)


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def _curves(curves: Sequence[Curve]) -> list[dict[str, list[float]]]:
    of = -(-sum(len(curve.seconds) for curve in curves) // _POINTS)
    shown = []
    for curve in curves:
        starts = np.arange(0, len(curve.seconds), max(of, 1))
        highest = np.maximum.reduceat(curve.score, starts) if len(starts) else curve.score
        shown.append(
            {
                "seconds": np.round(curve.seconds[starts], 2).tolist(),
                "score": np.round(highest, 2).tolist(),
            }
        )
    return shown

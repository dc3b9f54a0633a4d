"""The page of one spotted recording: one file that needs no network."""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mubert_jax.spotting.found import Found
from mubert_jax.spotting.heat import heat_png
from mubert_jax.spotting.pictures import Picture, strongest
from mubert_jax.spotting.readings import Curve

TEMPLATE = Path(__file__).with_name("timeline.html")
# Of all that was found, what the page reads.
_COLUMNS = "what onset apex offset start peak end score emotion probabilities".split()
# Points of the curve that a page holds; of longer recordings, the highest of several are kept.
_POINTS = 40_000
# Movement of less than this share of the strongest is not worth its bytes.
_FAINT = 0.02


def page(
    facts: dict[str, Any],
    found: Sequence[Found],
    curves: Sequence[Curve],
    pictures: Sequence[Picture],
) -> str:
    """The page as HTML.

    Args:
      facts: as in NAME.json.
      found: all that was found, whatever its score, by onset.
      curves: the score over every stretch.
      pictures: of them and of the time between; movement is shown as a share of the strongest of
        what a picture belongs to, and between, of the weakest of these that reach the threshold.
    """
    data = {
        "seconds": facts["frames"] / facts["fps"],
        "frame": 1 / facts["fps"],
        "threshold": facts["threshold"],
        "least": facts["threshold"] * facts["kept"],
        "curves": _curves(curves),
        "found": [{key: _short(getattr(one, key)) for key in _COLUMNS} for one in found],
        "pictures": list(_pictures(pictures, found, facts["threshold"])),
        "holes": facts["holes"],
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    # In a script element, only "<" could end it.
    script = json.dumps(data).replace("<", "\\u003c")
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(facts=facts, data=script)


def _pictures(
    pictures: Sequence[Picture], found: Sequence[Found], threshold: float
) -> Iterator[dict[str, Any]]:
    scales = strongest(pictures)
    # Where nothing was found, nothing says how strong strong is.
    weakest = min(
        (scale for place, scale in scales.items() if found[place].score >= threshold),
        default=math.inf,
    )
    for one in pictures:
        scale = weakest if one.of is None else scales[one.of]
        share = one.movement / max(scale, 1e-9)
        yield {
            "number": one.number,
            "seconds": _short(one.seconds),
            "of": one.of,
            "face": _uri("jpeg", one.jpeg),
            "heat": _uri("png", heat_png(share)) if share.max() >= _FAINT else "",
        }


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _short(part) for key, part in value.items()}
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

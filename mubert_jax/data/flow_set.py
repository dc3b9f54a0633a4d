"""A flow set: u, v and optical strain of labelled clips, as `mubert prepare flow` makes it.

`flow.npy` holds the maps, `clips.csv` a row per map (data set, subject, clip, label, class), and
`flow_set.json`, which is written last of all, how the maps were made.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.labelled_clips import CLASS_NAMES, LabelledClips, class_names
from mubert_jax.errors import UserError, readable

FLOW_FILE = "flow.npy"
TABLE_FILE = "clips.csv"
INFO_FILE = "flow_set.json"
COLUMNS = ("dataset", "subject", "clip", "label", "class")
_FORMAT = 1  # raised when older sets can no longer be read
_AGAIN = "run `mubert prepare flow` again into a new folder"


@dataclass(frozen=True)
class FlowInfo:
    """How the maps of a flow set were made.

    Attributes:
      method: the name of the method, or "published".
      version: what its values depend on beside the frames, such as a digest of weights.
      normalise: "per-channel" or "pixels", as `flow_maps.stacked` has it.
      input: what they were made of.
      space: what synthetic people are unique in; None for real ones.
      notes: what a reader of results has to know.
      seen: as in `FlowMethod`.
    """

    method: str
    version: str
    normalise: str
    input: str
    space: str | None = None
    notes: tuple[str, ...] = ()
    seen: dict[str, Any] | None = None


class FlowSet(LabelledClips):
    """The maps of P labelled clips, and the attributes of `LabelledClips`.

    Attributes:
      flow: (P, S, S, 3) float32: u (to the right), v (downwards) and optical strain.
      info: how they were made.
      notes: which spellings were taken for one person or class, and how many clips show no
        movement.

    Args:
      directory: a folder that `mubert prepare flow` made.

    Raises:
      UserError: there is no such folder, or it is half prepared, damaged, or no flow set.
    """

    def __init__(self, directory: str | os.PathLike):
        folder = Path(directory)
        self.info, digest = _read_info(folder)
        rows = _read_table(folder)
        try:
            columns = [[row[name] for row in rows] for name in COLUMNS[:3]]
            label = [int(row["label"]) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder / TABLE_FILE} is damaged ({error}); {_AGAIN}") from error
        super().__init__(folder, class_names(folder), label, *columns, space=self.info.space)
        self.flow = _read_maps(folder, digest, [f"{row['subject']}/{row['clip']}" for row in rows])
        self.notes += [*self.info.notes, *_still(self.flow)]


def is_flow_set(directory: Path) -> bool:
    """Whether a folder holds a finished flow set."""
    return (directory / INFO_FILE).is_file()


def write_flow_set(
    directory: Path, flow_PxSxSx3: np.ndarray, clips: LabelledClips, info: FlowInfo
) -> None:
    """Writes the files of a flow set, `flow_set.json` last.

    Args:
      clips: of whom the maps are, in their order.
    """
    content = io.BytesIO()
    np.save(content, np.asarray(flow_PxSxSx3, np.float32))
    with replacing(directory / FLOW_FILE) as temporary:
        temporary.write_bytes(content.getvalue())
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    named = [clips.classes[row] for row in clips.label]
    writer.writerows(
        zip(clips.dataset, clips.subject, clips.clip, clips.label.tolist(), named, strict=True)
    )
    write_text(directory / TABLE_FILE, table.getvalue())
    write_text(directory / CLASS_NAMES, "".join(f"{name}\n" for name in clips.classes))
    said = {"format": _FORMAT, **asdict(info), "sha256": _sha256(content.getvalue())}
    write_text(directory / INFO_FILE, json.dumps(said, indent=1) + "\n")


def _read_info(folder: Path) -> tuple[FlowInfo, str]:
    """How the maps were made, and the SHA-256 of their file."""
    path = folder / INFO_FILE
    if not path.is_file():
        there = "not a finished flow set" if folder.is_dir() else "no such folder"
        raise UserError(
            f"{folder}: {there} ({INFO_FILE} is missing); make one with "
            f"`mubert prepare flow --input=PAIRS --output={folder}`"
        )
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        known = {"format", "sha256", *FlowInfo.__dataclass_fields__}
        if saved.keys() != known or saved.pop("format") != _FORMAT:
            raise ValueError("of another version")
        digest, notes = str(saved.pop("sha256")), tuple(map(str, saved.pop("notes")))
        return FlowInfo(**saved, notes=notes), digest
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if readable(error):
            raise
        raise UserError(f"{path} is damaged ({error}); {_AGAIN}") from error


def _read_table(folder: Path) -> list[dict[str, str]]:
    path = folder / TABLE_FILE
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows or any(None in row.values() for row in rows):
            raise ValueError("rows are missing")
        return rows
    except (OSError, ValueError, csv.Error) as error:
        if readable(error):
            raise
        raise UserError(f"{path} cannot be read ({error}); {_AGAIN}") from error


def _read_maps(folder: Path, digest: str, names: Sequence[str]) -> np.ndarray:
    """(P, S, S, 3), one of each name; they are all finite."""
    path = folder / FLOW_FILE
    try:
        content = path.read_bytes()
        if _sha256(content) != digest:
            raise ValueError(f"its SHA-256 is not that of {INFO_FILE}")
        maps = np.load(io.BytesIO(content))
        if maps.ndim != 4 or maps.shape != (len(names), maps.shape[1], maps.shape[1], 3):
            raise ValueError(f"{maps.dtype} {maps.shape} for {len(names)} rows of {TABLE_FILE}")
    except (OSError, ValueError, EOFError) as error:
        if readable(error):
            raise
        raise UserError(f"{path} is damaged or missing ({error}); {_AGAIN}") from error
    finite = np.isfinite(maps).all(axis=(1, 2, 3))
    if not finite.all():
        first = names[int(np.argmin(finite))]
        raise UserError(f"{path}: the maps of {first} are not finite (NaN); {_AGAIN}")
    return maps.astype(np.float32, copy=False)


def _still(flow_PxSxSx3: np.ndarray) -> list[str]:
    still = int((np.ptp(flow_PxSxSx3[..., :2], axis=(1, 2)) == 0).all(axis=-1).sum())
    if not still:
        return []
    return [
        f"{still} of {len(flow_PxSxSx3)} clips show no movement (u and v are the same everywhere); "
        "they are learnt from and tested as they are labelled"
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

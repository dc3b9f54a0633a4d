"""Writes maps of flow in the layout in which the field publishes and reads them."""

import os
import re
import shutil
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np

from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.names import printable
from mubert_jax.data.published_flow import TEST, TRAIN, folder_of
from mubert_jax.data.records import encode_image

# Everything else in the name of a clip or a subject would be a folder, or trouble in some system.
_UNSAFE = re.compile(r"[^\w.()+-]+")


def export_published(
    flow_PxSxSx3: np.ndarray, clips: LabelledClips, root: Path, with_train: bool
) -> None:
    """Writes `SUBJECT/u_test/LABEL/SUBJECT_CLIP .png` below `root` for each of P clips.

    Red, green and blue are u, v and strain, so that OpenCV reads strain, v and u. The blank before
    `.png` is that of the published files.

    Args:
      flow_PxSxSx3: maps in levels of 0 to 255, which are rounded.
      with_train: whether `u_train` of each subject holds the clips of everybody else, as hard links
        where the file system has them.
    """
    who = [f"{person.space}/{person.name}" for person in clips.people]
    names = zip(who, clips.dataset, clips.subject, strict=True)
    first = {one: folder_of(dataset, subject) for one, dataset, subject in names}
    folders = dict(zip(first, _distinct(first.values()), strict=True))
    stems = _distinct(
        f"{folders[one]}_{clip.removeprefix(f'{subject}/')}"
        for one, subject, clip in zip(who, clips.subject, clips.clip, strict=True)
    )
    files: list[tuple[str, str, Path]] = []
    levels = np.clip(np.round(flow_PxSxSx3), 0, 255).astype(np.uint8)
    for one, stem, label, image in zip(who, stems, clips.label.tolist(), levels, strict=True):
        path = root / folders[one] / TEST / str(label) / f"{stem} .png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(image, "png"))
        files.append((one, str(label), path))
    if not with_train:
        return
    for one, folder in folders.items():
        for other, label, path in files:
            if other != one:
                link = root / folder / TRAIN / label / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                _link(path, link)


def _distinct(names: Iterable[str]) -> list[str]:
    """The names as names of files, one that is taken with a number behind it.

    Names count as one if they differ by capitals alone: some systems take them for one.
    """
    found, taken = [], set()
    for name in names:
        safe = _UNSAFE.sub("_", printable(name))
        numbered = (safe if number == 1 else f"{safe}({number})" for number in count(1))
        found.append(next(one for one in numbered if one.lower() not in taken))
        taken.add(found[-1].lower())
    return found


def _link(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError:
        shutil.copyfile(path, link)

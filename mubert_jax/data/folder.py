"""A prepared data-set folder: is it whole, and who is in it?"""

import os
from pathlib import Path

from mubert_jax.data.index import Index
from mubert_jax.data.metadata import INFO_FILE
from mubert_jax.data.plan import PLAN_FILE
from mubert_jax.errors import UserError

_OTHER = {"frames": "pairs", "pairs": "frames"}


def check_complete(directory: Path, example: str, kind: str | None = None) -> None:
    """UserError unless `directory` holds a finished data set.

    Args:
      directory: what should be one.
      example: source and input of a `mubert prepare` that would make one.
      kind: "frames" or "pairs"; None takes both.
    """
    if not directory.is_dir():
        raise UserError(
            f"{directory}: no such data-set folder; make it with "
            f"`mubert prepare {example} --output {directory}`"
        )
    if (directory / INFO_FILE).exists():
        if kind and any(directory.glob(f"{_OTHER[kind]}-train.*")):
            raise UserError(
                f"{directory}: a data set of {_OTHER[kind]}, not of {kind}; make one with "
                f"`mubert prepare {example} --output DIR`"
            )
        return
    if (directory / PLAN_FILE).exists():
        raise UserError(
            f"{directory}: only half prepared ({INFO_FILE} is missing); "
            "run the same `mubert prepare` again, it goes on where it stopped"
        )
    raise UserError(
        f"{directory}: not a data-set folder ({INFO_FILE} is missing); make one with "
        f"`mubert prepare {example} --output DIR`"
    )


def subjects_of(directory: str | os.PathLike) -> tuple[str, ...]:
    """Everyone in a prepared `frames` or `pairs` folder, sorted; UserError where it is none.

    In a `pairs` folder a subject begins with its data set ("casme2/sub01"); in a `frames` folder it
    is what the folders of the input were called ("sub01").
    """
    directory = Path(directory)
    check_complete(directory, "video --input VIDEOS")
    return tuple(sorted(set(Index.open(directory).video_subjects.tolist())))

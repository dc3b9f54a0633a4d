"""A prepared data-set folder: is it whole, and who is in it?"""

import os
from pathlib import Path

from mubert_jax.data.index import Index
from mubert_jax.data.metadata import INFO_FILE
from mubert_jax.data.plan import PLAN_FILE
from mubert_jax.errors import UserError


def check_complete(directory: Path, example: str) -> None:
    """UserError unless `directory` holds a finished data set of either kind.

    Args:
      directory: what should be one.
      example: source and input of a `mubert prepare` that would make one.
    """
    if not directory.is_dir():
        raise UserError(
            f"{directory}: no such data-set folder; make it with "
            f"`mubert prepare {example} --output {directory}`"
        )
    if (directory / INFO_FILE).exists():
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

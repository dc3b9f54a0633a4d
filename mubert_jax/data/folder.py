"""A prepared data-set folder: is it whole, and who is in it?"""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from mubert_jax.data.flow_set import is_flow_set
from mubert_jax.data.index import Index
from mubert_jax.data.layouts import known_subject, subjects_in_one
from mubert_jax.data.metadata import INFO_FILE
from mubert_jax.data.people import FRAMES, SYNTHETIC, Person
from mubert_jax.data.plan import PLAN_FILE, Plan
from mubert_jax.errors import UserError

_OTHER = {"frames": "pairs", "pairs": "frames"}


def check_complete(directory: Path, example: str, kind: str | None = None) -> None:
    """UserError unless `directory` holds a finished data set.

    Args:
      directory: the folder in question.
      example: the source and input of a `mubert prepare` that would make one.
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
    if is_flow_set(directory):
        raise UserError(
            f"{directory}: holds flow (u, v and optical strain), no frames; give the data set that "
            "it was made of, or one that you make with "
            f"`mubert prepare {example} --output DIR`"
        )
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
    """Everyone in a prepared `frames` or `pairs` folder, sorted; UserError for another folder.

    In a `pairs` folder a subject begins with its data set ("casme2/sub01"); in a `frames` folder
    subjects are named after the folders of the input ("sub01").
    """
    directory = Path(directory)
    check_complete(directory, "video --input VIDEOS")
    return tuple(sorted(set(Index.open(directory).video_subjects.tolist())))


def plan_of(directory: Path) -> Plan | None:
    """How a prepared folder was made; None where it does not say."""
    with contextlib.suppress(UserError):
        return Plan.load(directory)
    return None


def synthetic_space(directory: Path) -> str | None:
    """The space of the people in a folder made by `mubert prepare synthetic`; None for real people.

    Another seed makes other people. Faces on photographs are real, and so are recorded movements.
    """
    plan = plan_of(directory)
    if plan is None or plan.source != "synthetic" or plan.input.startswith("recorded:"):
        return None
    if "photos=None" not in plan.input.split():
        return None
    seed = re.search(r" seed=(\d+) ", plan.input)
    return f"{SYNTHETIC}{seed[1]}" if seed else None


def people_of_frames(
    directory: Path, videos: Sequence[str], subjects: Sequence[str], fingerprint: str
) -> tuple[frozenset[Person], bool]:
    """Who is seen in a `frames` folder, and whether they could all be told apart.

    Data sets that are known by the names of their folders are recognised here, too, for folders
    that an older version prepared without recognising them.

    Args:
      videos, subjects: the name and the subject of every video, as the index has them.
      fingerprint: the fingerprint of the data, which stands for a source without a name.
    """
    if synthetic := synthetic_space(directory):
        return frozenset(Person.elsewhere(synthetic, subject) for subject in subjects), True
    plan = plan_of(directory)
    said = plan is not None and plan.options.get("subject_folder") is not None
    input = Path(plan.input) if plan else Path()
    people, plain = set(), []
    for video, subject in zip(videos, subjects, strict=True):
        known = None if said else known_subject(PurePath(video), input)
        if "/" in subject and not said:
            known = known or subject
        if known:
            people.add(Person.of(known.split("/")[0], known))
        else:
            people.add(Person.elsewhere(FRAMES + fingerprint[:8], subject))
            plain.append(video)
    return frozenset(people), said or not subjects_in_one(plain)

"""The leak guard: whose faces a pretraining has seen."""

from pathlib import Path

from mubert_jax.config import Config
from mubert_jax.data.folder import subjects_of
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import SHIPPED

# Whom the weights in the package were trained on: made-up people, see their CARD.md.
SHIPPED_PEOPLE = tuple(f"s{number:06d}" for number in range(320))


def stamps(pretrained: Config | None, source: str, subjects: set[str], allow: bool) -> list[str]:
    """What has to be printed on every table because of how the backbone was pretrained.

    A subject of frames is called as its folder is ("sub01"), one of pairs bears its data set
    ("casme2/sub01"): those whose last part is the same are taken for one person.

    Args:
      pretrained: the config of the pretraining; None for weights that saw nothing.
      source: what the weights are called, for messages.
      subjects: everyone who is tested.
      allow: stamp a leak instead of refusing it.

    Raises:
      UserError: the pretraining saw a subject who is tested.
    """
    if pretrained is None:
        return []
    folder = Path(pretrained.data.path)
    if source == SHIPPED:
        folder, everyone = SHIPPED, SHIPPED_PEOPLE
    elif pretrained.data.path and folder.is_dir():
        everyone = subjects_of(folder)
    else:
        return [
            f"NOT CHECKED: the data that {source} was pretrained on are not at hand, so whether it "
            "has seen the tested subjects is not known"
        ]
    seen = {_person(subject) for subject in everyone}
    leaked = sorted(subject for subject in subjects if _person(subject) in seen)
    before = pretrained.training.init_from
    if not leaked and before:
        return [f"NOT CHECKED: {source} started from {before}, which may have seen tested subjects"]
    if not leaked:
        return []
    found = f"{len(leaked)} of the {len(subjects)} tested subjects ({leaked[0]} first)"
    if not allow:
        raise UserError(
            f"{folder}, which {source} was pretrained on, holds {found}; pretrain on "
            "`mubert prepare ... --exclude-subjects`, or say --allow-leak, and every table is "
            "stamped"
        )
    return [f"LEAK: the pretraining saw {found}"]


def _person(subject: str) -> str:
    return subject.rsplit("/", 1)[-1]

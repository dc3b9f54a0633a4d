"""The leak guard: nobody is tested whose face the backbone has seen."""

from mubert_jax.errors import UserError
from mubert_jax.training.seen import Seen


def stamps(seen: Seen, source: str, subjects: set[str], allow: bool) -> list[str]:
    """What has to be printed on every table because of whom the backbone has seen.

    Args:
      seen: by the backbone.
      source: what its weights are called, for messages.
      subjects: everyone who is tested.
      allow: stamp a leak instead of refusing it.

    Raises:
      UserError: the backbone saw a subject who is tested.
    """
    stamped = [
        f"NOT CHECKED: {unknown}, which {source} comes from, may have seen tested subjects"
        for unknown in seen.unknown
    ]
    leaked = sorted(subject for subject in subjects if subject in seen)
    if not leaked:
        return stamped
    found = f"{len(leaked)} of the {len(subjects)} tested subjects ({leaked[0]} first)"
    if not allow:
        raise UserError(
            f"{source} was trained on {found}; pretrain on `mubert prepare ... --exclude-subjects`,"
            " or say --allow-leak, and every table is stamped"
        )
    return [f"LEAK: {source} was trained on {found}", *stamped]

"""The guard against contamination: nobody is tested whose face the backbone has seen."""

from collections.abc import Mapping

from mubert_jax.data.people import Person
from mubert_jax.errors import UserError
from mubert_jax.training.contamination import Seen

# Names per stamp: enough to recognise the case, few enough for one line above every table.
_LISTED = 3


def stamps(seen: Seen, source: str, tested: Mapping[str, Person], allow: bool) -> list[str]:
    """The stamps that every table needs because of the people whom the backbone has seen.

    If two names may belong to one data set, a stamp names both.

    Args:
      seen: The people whom the backbone has seen.
      source: The name of its weights in messages.
      tested: Everyone who is tested, by the name that a reader knows.
      allow: Whether a leak is stamped instead of refused.

    Raises:
      UserError: the backbone has seen a subject who is tested, and `allow` is false.
    """
    stamped = [
        f"NOT CHECKED: {unknown}, which {source} comes from, may have seen tested subjects"
        for unknown in seen.unknown
    ]
    doubtful = {
        name: other for name, person in sorted(tested.items()) if (other := seen.may_be(person))
    }
    if doubtful:
        listed = [f"{name} may be {other}" for name, other in doubtful.items()][:_LISTED]
        stamped.append(
            f"POSSIBLE CONTAMINATION: {source} was trained on people who may be "
            f"{len(doubtful)} of the {len(tested)} tested subjects, by their names: "
            f"{'; '.join(listed)}{'; ...' if len(doubtful) > _LISTED else ''}"
        )
    leaked = sorted(name for name, person in tested.items() if person in seen)
    if not leaked:
        return stamped
    found = f"{len(leaked)} of the {len(tested)} tested subjects ({leaked[0]} first)"
    if not allow:
        raise UserError(
            f"{source} was trained on {found}; pretrain on `mubert prepare ... --exclude-subjects`,"
            " or say --allow-contamination, and every table is stamped"
        )
    return [f"LEAK: {source} was trained on {found}", *stamped]

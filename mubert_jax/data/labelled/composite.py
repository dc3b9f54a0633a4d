"""Several labelled data sets as one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.labelled.collected import Collected
from mubert_jax.data.labelled.labelled_set import LabelledSet
from mubert_jax.data.labelled.options import PairOptions
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Composite:
    """The clips of all `members`, classed alike.

    Attributes:
      name: as `mubert prepare` calls it.
      members: the data sets; each has a mapping with `classes` classes.
      classes: how many.
      subjects: people by the owners' count.
    """

    name: str
    members: tuple[LabelledSet, ...]
    classes: int
    subjects: int

    def collect(
        self,
        input: Mapping[str, Path],
        annotation: Mapping[str, Path] | None,
        options: PairOptions,
    ) -> Collected:
        """As `LabelledSet.collect`, from a folder (and a sheet) a member, by its name.

        `options.apex` is for members without annotated apexes alone.
        """
        if options.classes not in (None, self.classes):
            raise UserError(f"--classes {options.classes}: {self.name} has {self.classes} classes")
        names = [member.name for member in self.members]
        for flag, paths in (("--input", input), ("--annotation", annotation or {})):
            if unknown := [name for name in paths if name not in names]:
                raise UserError(f"{flag} {unknown[0]}=...: {self.name} is of {', '.join(names)}")
        if missing := [name for name in names if name not in input]:
            raise UserError(
                f"{self.name} needs --input {' '.join(f'{name}=DIR' for name in names)}; "
                f"{missing[0]} is missing"
            )
        parts = []
        for member in self.members:
            apex = None if member.has_apex else options.apex
            own = PairOptions(**vars(options) | {"classes": self.classes, "apex": apex})
            sheet = (annotation or {}).get(member.name)
            parts.append(member.collect(input[member.name], sheet, own))
        published = {
            name: sum(part.published.get(name, 0) for part in parts) for name in parts[0].classes
        }
        passed = PassedOver()
        for part in parts:
            passed.update(part.passed)
        return Collected(
            [clip for part in parts for clip in part.clips],
            [clip for part in parts for clip in part.dropped],
            parts[0].classes,
            published,
            self.subjects,
            ", ".join(part.annotation for part in parts),
            notes=[note for part in parts for note in part.notes],
            passed=passed,
        )

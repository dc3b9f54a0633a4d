"""Which emotion of the annotation is which class."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mubert_jax.data.labelled.annotation import Annotation, LeftOut, Refused


@dataclass(frozen=True)
class ClassScheme:
    """One way to class a data set.

    Attributes:
      classes: names in label order.
      emotions: annotated emotion in lower case -> class; None for one that is left out.
      published: clips of each class by the owners' own count; subjects: people, None if not said.
      excluded: "SUBJECT/CLIP" of clips that are left out -> why.
    """

    classes: tuple[str, ...]
    emotions: Mapping[str, str | None]
    published: Mapping[str, int] = field(default_factory=dict)
    subjects: int | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)

    def label(self, annotation: Annotation) -> int:
        """The number of the class; LeftOut or Refused where the clip has none."""
        if why := self.excluded.get(f"{annotation.subject}/{annotation.clip}"):
            raise LeftOut(why)
        if not annotation.emotion:
            raise Refused("no emotion annotated")
        if annotation.emotion not in self.emotions:
            known = ", ".join(sorted(self.emotions))
            raise Refused(f"unknown emotion {annotation.emotion!r} (known: {known})")
        name = self.emotions[annotation.emotion]
        if name is None:
            raise LeftOut(f"{annotation.emotion} is none of the {len(self.classes)} classes")
        return self.classes.index(name)

"""A labelled clip whose frames were found on the disk."""

from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.labelled.annotation import Annotation


@dataclass(frozen=True)
class LabelledClip:
    """What is stored of one annotated clip.

    Attributes:
      annotation: what the sheet says.
      label: its class, as a number; class_name: by name.
      fps: frames a second; 0 where unknown.
      onset: frame number and file.
      apex: frame number and file; None where it is to be found in `candidates`.
      candidates: the frames after the onset, up to the offset.
      apex_source: as in `PairRecord`.
      offset: frame number; -1 where unknown.
      repairs: what was mended; notes: what is odd but was left as it is.
    """

    annotation: Annotation
    label: int
    class_name: str
    fps: float
    onset: tuple[int, Path]
    apex: tuple[int, Path] | None
    candidates: tuple[tuple[int, Path], ...] = ()
    apex_source: str = "annotated"
    offset: int = -1
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    num_frames: int = 2

    @property
    def name(self) -> str:
        return self.annotation.name

    @property
    def subject(self) -> str:
        return self.annotation.person

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        frames = (self.onset, *((self.apex,) if self.apex else self.candidates))
        return tuple(path for _, path in frames)

    @property
    def key(self) -> str:
        """Everything that shapes the record but the pixels, as one text."""
        a = self.annotation
        apex = self.apex and self.apex[0]
        return (
            f"{a.name} {self.label} {self.onset[0]} {apex} {self.offset} {self.apex_source} "
            f"{a.emotion} {a.action_units}"
        )

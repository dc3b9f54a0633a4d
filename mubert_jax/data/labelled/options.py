"""How labelled clips become pairs."""

from dataclasses import dataclass

from mubert_jax.data.labelled.matching import APEX_CHOICES
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.errors import UserError


@dataclass(frozen=True)
class PairOptions(PrepareOptions):
    """`PrepareOptions` and what labels need.

    Attributes:
      classes: which of the set's class mappings; None takes its first.
      apex: "midpoint" or "auto": the apex of a clip without an annotated one; None takes the
        midpoint where a set has no apexes at all, and leaves such clips out elsewhere.
      damaged: lists of frames that are not to be used.
      lenient: leave out clips that may be wrong, and list them, instead of stopping.
    """

    classes: int | None = None
    apex: str | None = None
    damaged: tuple[str, ...] = ()
    lenient: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.apex not in (None, *APEX_CHOICES):
            raise UserError(f"--apex {self.apex!r}: choose {', '.join(APEX_CHOICES)}")

"""What BEiT asks of a tokenizer: the number of a visual token for every patch of an image."""

import abc

import jax

from mubert_jax.training.objective import Objective, Params


class Tokenizer(Objective):
    """An objective whose runs BEiT takes as its tokenizer."""

    @property
    @abc.abstractmethod
    def vocabulary(self) -> int:
        """How many visual tokens there are."""

    @property
    @abc.abstractmethod
    def side(self) -> int:
        """Pixels along the side of a token's patch."""

    @abc.abstractmethod
    def reads(self, params: Params, extra: dict) -> dict:
        """The part of a run's weights that `tokens` reads, as BEiT keeps it."""

    @abc.abstractmethod
    def tokens(self, read: dict, images: jax.Array) -> jax.Array:
        """Each patch's visual token, (B, N) int32, of normalised images (B, H, W, 3).

        Args:
          read: what `reads` gives.
          images: their sides are multiples of `side`.
        """

    def flops_of_tokens(self, side: int) -> float:
        """Forward FLOPs of `tokens` on one image of `side` pixels; 0 where they are not known."""
        return 0.0

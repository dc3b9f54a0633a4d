"""The recognizer, section 5.3: emotion logits from what DMA saw."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.config import RecognizerConfig
from mubert_jax.models.face_grid import face_grid
from mubert_jax.models.vit import NORM_EPSILON

# Added to the calibrated map before its logarithm is taken: values well below it count as still. A
# smaller one brings the noise of still patches in, a larger one hides weak movements.
STILL = 0.03


class Recognizer(nn.Module):
    """What DMA saw as one vector, then a linear layer; float32.

    `reads` "dma": P_dma, pooled over the patches (mean, or weighted by S) and layer-normed, or
    place by place, as it is or as the displacement that it tells.
    "movement": the logarithm of the calibrated map. "displacement": how far each patch moved, and
    which way. `places` says whether a place is a patch of the frame or of the face.
    """

    config: RecognizerConfig

    def setup(self) -> None:
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON)
        self.head = nn.Dense(self.config.classes)

    def __call__(self, read: jax.Array, poi_scores_BxN: jax.Array) -> jax.Array:
        """Logits (B, classes), from what `forward_features` takes."""
        return self.head(self.forward_features(read, poi_scores_BxN))

    def forward_features(self, read: jax.Array, poi_scores_BxN: jax.Array) -> jax.Array:
        """The linear layer's input (B, F), from P_dma (B, N, D), the map (B, N) or u (B, N, 2)."""
        x_BxNxD = read.astype(jnp.float32).reshape(*read.shape[:2], -1)
        if self.config.reads == "dma" and self.config.pool == "mean":
            return self.norm(jnp.mean(x_BxNxD, axis=1))
        if self.config.reads == "dma" and self.config.pool == "poi":
            return self.norm(jnp.einsum("bn,bnd->bd", poi_scores_BxN, x_BxNxD))
        if self.config.places == "face":
            x_BxNxD = face_grid(x_BxNxD, poi_scores_BxN)
        if self.config.reads == "movement":
            x_BxNxD = jnp.log(jnp.maximum(x_BxNxD, 0) + STILL)
        return x_BxNxD.reshape(x_BxNxD.shape[0], -1)

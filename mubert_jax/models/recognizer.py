"""The recogniser, section 5.3: emotion logits from what DMA saw."""

import flax.linen as nn
import jax.numpy as jnp

from mubert_jax.config import RecognizerConfig
from mubert_jax.models.vit import NORM_EPSILON


class Recognizer(nn.Module):
    """P_dma pooled over the patches (mean, or weighted by S), LN, linear; float32."""

    config: RecognizerConfig

    @nn.compact
    def __call__(self, dma_features_BxNxD, poi_scores_BxN):
        """-> logits (B, classes)."""
        x_BxNxD = dma_features_BxNxD.astype(jnp.float32)
        if self.config.pool == "poi":
            pooled_BxD = jnp.einsum("bn,bnd->bd", poi_scores_BxN, x_BxNxD)
        else:
            pooled_BxD = jnp.mean(x_BxNxD, axis=1)
        pooled_BxD = nn.LayerNorm(epsilon=NORM_EPSILON, name="norm")(pooled_BxD)
        return nn.Dense(self.config.classes, name="head")(pooled_BxD)

"""Micron-BERT: μ-Encoder, POI, DMA and μ-Decoder put together (Figure 2).

Images are normalised float arrays (B, H, W, C); Blockwise Swapping is done beforehand, by
`models.swapping`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mubert_jax.config import Config, DinoConfig, ModelConfig
from mubert_jax.models import vit
from mubert_jax.models.dense import Dense
from mubert_jax.models.device import settled
from mubert_jax.models.dma import DiagonalMicroAttention, DMAOutput
from mubert_jax.models.motion import Motion, MotionAttention
from mubert_jax.models.poi import interest, poi_scores
from mubert_jax.models.projector import Projector
from mubert_jax.models.recognizer import Recognizer


@flax.struct.dataclass
class Encoded:
    """The μ-Encoder's output for B images: P (B, N, D), p^CT (B, D), S (B, N).

    `compared` is what DMA's q and k read: P, or the images (B, H, W, C) themselves.
    """

    tokens: jax.Array
    contextual_token: jax.Array
    poi_scores: jax.Array
    compared: jax.Array

    def split(self, sections: int) -> list["Encoded"]:
        """Undoes `side_by_side`."""
        parts = jax.tree.map(lambda x: x.reshape(-1, sections, *x.shape[1:]), self)
        return [jax.tree.map(lambda x, i=i: x[:, i], parts) for i in range(sections)]


def side_by_side(*views: jax.Array) -> jax.Array:
    """V views of B images as B·V images, pair by pair, so that each device keeps its own pairs."""
    return jnp.stack(views, axis=1).reshape(-1, *views[0].shape[1:])


@flax.struct.dataclass
class Intermediates:
    """Everything between the frames and the reconstruction.

    `crops` holds one `Encoded` per full-size crop, `dma` is None without DMA, and `poi_scores`
    (B, N) are the reference's. `patch_weights` (B, N) is W of eq. (12), None without DMA and for
    cross-attention; the decoder reads `dma_features` (B, N, D).
    """

    swapped: Encoded
    reference: Encoded
    crops: tuple[Encoded, ...]
    dma: DMAOutput | None
    poi_scores: jax.Array
    patch_weights: jax.Array | None
    dma_features: jax.Array


class MicronEncoder(nn.Module):
    """E of eq. (4): patches and the contextual token through pre-LN blocks and a final LN.

    `kept_BxK` are the only patches that it reads, in that order; all N by default. In the place of
    the patches that `masked_BxN` marks it reads a token that is learnt; none by default. With
    `relative`, no position is added to a patch: all blocks share a bias of their attention, which
    then has to be one of `attention.BIASED`, and all patches are read. `layer_scale` is that of
    `vit.Block`.
    """

    config: ModelConfig
    dtype: jnp.dtype
    relative: bool = False
    layer_scale: float = 0.0

    @nn.compact
    def __call__(
        self,
        images_BxHxWxC: jax.Array,
        kept_BxK: jax.Array | None = None,
        masked_BxN: jax.Array | None = None,
    ) -> Encoded:
        config = self.config
        patches_BxNxP = vit.patchify(images_BxHxWxC, config.patch_size).astype(self.dtype)
        grid = images_BxHxWxC.shape[1] // config.patch_size
        positions = jnp.asarray(vit.sincos_positions(grid, config.dim), self.dtype)
        if kept_BxK is not None:
            patches_BxNxP = jnp.take_along_axis(patches_BxNxP, kept_BxK[..., None], axis=1)
            positions = positions[kept_BxK]
        x = Dense(config.dim, dtype=self.dtype, name="patch_embed")(patches_BxNxP)
        if masked_BxN is not None:
            mask = self.param("mask_token", nn.initializers.normal(0.02), (config.dim,))
            x = jnp.where(masked_BxN[..., None], mask.astype(self.dtype), x)
        bias = None
        if self.relative:
            bias = vit.RelativeBias(grid, config.heads, name="relative_bias")()
        else:
            x += positions
        # 0.02, as in MAE and DINO.
        token = self.param("contextual_token", nn.initializers.normal(0.02), (config.dim,))
        token = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], 1, config.dim))
        x = jnp.concatenate([token, x], axis=1)
        *blocks, last = (
            vit.block(config.remat)(
                config.heads,
                config.mlp_ratio,
                config.attention,
                self.dtype,
                self.layer_scale,
                name=f"blocks_{i}",
            )
            for i in range(config.depth)
        )
        for block in blocks:
            x, _ = block(x, False, bias)
        x, contextual_row = last(x, True, bias)
        x = vit.layer_norm(self.dtype, "norm")(x)
        return Encoded(
            tokens=x[:, 1:],
            contextual_token=x[:, 0].astype(jnp.float32),
            poi_scores=poi_scores(contextual_row),
            compared=x[:, 1:] if config.dma.reads == "tokens" else images_BxHxWxC,
        )


class MicronDecoder(nn.Module):
    """D of eq. (5) and the linear layer of eq. (6): (B, N, D) -> (B, N, ps²·C) float32."""

    config: ModelConfig
    dtype: jnp.dtype
    channels: int = 3

    @nn.compact
    def __call__(self, features_BxNxD: jax.Array) -> jax.Array:
        config = self.config
        x = Dense(config.decoder.dim, dtype=self.dtype, name="embed")(features_BxNxD)
        x += vit.sincos_positions(config.grid, config.decoder.dim).astype(self.dtype)
        return reconstructed(x, config, self.dtype, self.channels)


def reconstructed(
    x_BxLxD: jax.Array, config: ModelConfig, dtype: jnp.dtype, channels: int = 3
) -> jax.Array:
    """The layers of D behind its positions, as parts of the module that calls it.

    Returns:
      (B, L, ps²·C) float32, a patch per token.
    """
    decoder = config.decoder
    for i in range(decoder.depth):
        block = vit.block(config.remat)(
            decoder.heads, config.mlp_ratio, config.attention, dtype, name=f"blocks_{i}"
        )
        x_BxLxD, _ = block(x_BxLxD, False)
    x_BxLxD = vit.layer_norm(dtype, "norm")(x_BxLxD)
    patch = config.patch_size**2 * channels
    return Dense(patch, dtype=dtype, name="pred")(x_BxLxD).astype(jnp.float32)


class MicronBert(nn.Module):
    """The whole model; calling it returns `(reconstruction, Intermediates)`."""

    config: ModelConfig
    projector_config: DinoConfig | None = None

    def setup(self) -> None:
        config, dtype = settled(self.config), compute_dtype(self.config)
        self.encoder = MicronEncoder(config, dtype)
        if self.config.dma.kind != "none":
            by_motion = self.config.dma.reads == "motion"
            attention = MotionAttention if by_motion else DiagonalMicroAttention
            self.dma = attention(self.config.dma, self.config.dim, self.config.patch_size, dtype)
        self.decoder = MicronDecoder(config, dtype)
        if self.projector_config is not None:
            self.projector = Projector(self.projector_config)
        if self.config.recognizer.classes:
            self.recognizer = Recognizer(self.config.recognizer)

    def __call__(
        self,
        swapped_BxHxWxC: jax.Array,
        reference_BxHxWxC: jax.Array,
        crops: Sequence[jax.Array] = (),
    ) -> tuple[jax.Array, Intermediates]:
        """Encodes all full-size views in one call, compares the frames and reconstructs I_t.

        Args:
          swapped_BxHxWxC: I_{t/s}; the current frame itself at recognition time.
          reference_BxHxWxC: I_{t+δ}.
          crops: Full-size crops of the reference, each (B, H, W, C).

        Returns:
          The reconstructed patches y_t (B, N, ps²·C) and the `Intermediates`.
        """
        views = side_by_side(swapped_BxHxWxC, reference_BxHxWxC, *crops)
        swapped, reference, *cropped = self.encoder(views).split(2 + len(crops))
        dma, weights_BxN, features_BxNxD = self.compare(swapped, reference)
        patches_BxNxP = self.decoder(features_BxNxD)
        if self.config.decoder.predict == "residual":
            patches_BxNxP += vit.patchify(swapped_BxHxWxC, self.config.patch_size)
        return patches_BxNxP, Intermediates(
            swapped=swapped,
            reference=reference,
            crops=tuple(cropped),
            dma=dma,
            poi_scores=reference.poi_scores,
            patch_weights=weights_BxN,
            dma_features=features_BxNxD,
        )

    def compare(
        self, swapped: Encoded, reference: Encoded
    ) -> tuple[DMAOutput | None, jax.Array | None, jax.Array]:
        """Eq. (8), (9) and (12): (DMA's output, W, P_dma); without DMA the tokens are P_dma."""
        if self.config.dma.kind == "none":
            return None, None, swapped.tokens
        scale_BxN = self._interest(reference)
        dma = self.dma(swapped.compared, reference.compared, swapped.tokens, scale_BxN)
        return dma, dma.weights, dma.features

    def _interest(self, reference: Encoded) -> jax.Array | None:
        """S as it enters W, (B, N); None where POI has no part in it."""
        enabled = self.config.poi.enabled
        return interest(reference.poi_scores, self.config.poi) if enabled else None

    def encode(self, images_BxHxWxC: jax.Array) -> Encoded:
        """Encodes images of any size that is a multiple of the patch."""
        return self.encoder(images_BxHxWxC)

    def project(self, contextual_tokens: jax.Array) -> jax.Array:
        """Contextual tokens (..., D) -> prototype logits (..., K) for the `dino` agreement."""
        return self.projector(contextual_tokens)

    def difference(self, current: Encoded, reference: Encoded) -> jax.Array:
        """The calibrated map m (B, N) of two encoded frames; 0 for equal frames."""
        return self.dma.difference(current.compared, reference.compared)

    def motion_map(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> jax.Array:
        """The calibrated map m (B, N) of two images."""
        return self.difference(*self._both(current_BxHxWxC, reference_BxHxWxC))

    def displacement(self, current: Encoded, reference: Encoded) -> jax.Array:
        """How far each patch moved, (B, N, 2) pixels right and down; not where DMA reads tokens."""
        return self.dma.displacement(current.compared, reference.compared)

    def motion(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> Motion:
        """Everything that the trunk sees between two images; where DMA reads motion."""
        return self.dma.motion(current_BxHxWxC, reference_BxHxWxC)

    def told_displacement(self, motion: Motion, encoded: Encoded) -> jax.Array:
        """The displacement (B, N, 2) that P_dma tells, of some motion in an encoded frame."""
        dma = self.dma.weighed(motion, encoded.tokens, self._interest(encoded))
        return self.dma.to_displacement(dma.features)

    def logits(self, onset_BxHxWxC: jax.Array, apex_BxHxWxC: jax.Array) -> jax.Array:
        """Emotion logits (B, classes) of onset and apex; nothing is swapped or decoded."""
        return self.logits_of(*self._both(onset_BxHxWxC, apex_BxHxWxC))

    def logits_of(self, onset: Encoded, apex: Encoded) -> jax.Array:
        """Like `logits`, for two encoded frames."""
        return self.recognizer(self._read(onset, apex), apex.poi_scores)

    def forward_features(self, onset_BxHxWxC: jax.Array, apex_BxHxWxC: jax.Array) -> jax.Array:
        """The input of the recognizer's linear layer, (B, F)."""
        onset, apex = self._both(onset_BxHxWxC, apex_BxHxWxC)
        return self.recognizer.forward_features(self._read(onset, apex), apex.poi_scores)

    def _both(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array):
        return self.encoder(side_by_side(current_BxHxWxC, reference_BxHxWxC)).split(2)

    def _read(self, onset: Encoded, apex: Encoded):
        """The recognizer's input, as `recognizer.reads` names it."""
        if self.config.recognizer.reads == "movement":
            return self.difference(onset, apex)
        if self.config.recognizer.reads == "displacement":
            return self.displacement(onset, apex)
        _, _, features_BxNxD = self.compare(onset, apex)
        if self.config.recognizer.pool == "displacement":
            return self.dma.to_displacement(features_BxNxD)
        return features_BxNxD

    def initialise(self, images_BxHxWxC: jax.Array) -> None:
        """Uses every parameter; the method to call `init` with."""
        _, intermediates = self(images_BxHxWxC, images_BxHxWxC)
        if self.projector_config is not None:
            self.project(intermediates.reference.contextual_token)
        if self.config.dma.kind != "none" and self.config.dma.reads == "motion":
            self.dma.to_displacement(intermediates.dma_features)
        if self.config.recognizer.classes:
            self.logits(images_BxHxWxC, images_BxHxWxC)


def init_params(model: MicronBert, key: jax.Array) -> dict[str, Any]:
    """A model's initial parameters."""
    size = model.config.image_size
    images = jnp.zeros((1, size, size, 3))
    return dict(model.init(key, images, method=MicronBert.initialise)["params"])


def compute_dtype(config: ModelConfig) -> jnp.dtype:
    """`auto` is bfloat16 on accelerators and float32 on a CPU; parameters are always float32."""
    return jnp.dtype(settled(config).dtype)


def build_model(config: Config) -> MicronBert:
    """The model that a run trains: with the DINO projector where its agreement needs one."""
    uses_dino = config.loss.agreement == "dino"
    return MicronBert(config.model, config.loss.dino if uses_dino else None)

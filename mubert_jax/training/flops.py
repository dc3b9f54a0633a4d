"""Model FLOPs of the parts of a model, and the measured peak of the machine's matrix products.

One multiply-add counts as two. Only the matrix products that the method needs are counted, forward
and twice that backward. Recomputation is not counted, so the share of the peak is the model FLOP
utilisation of PaLM (Chowdhery et al., 2022).
"""

import time

import jax
import jax.numpy as jnp

from mubert_jax.config import Config, DinoConfig, ModelConfig
from mubert_jax.models.micron_bert import compute_dtype
from mubert_jax.models.motion import BLURS, PRODUCTS, widths


def encoder_flops(model: ModelConfig, grid: int) -> float:
    """Forward FLOPs of the μ-Encoder on one image of grid² patches."""
    return encoder_flops_of(model, grid**2)


def encoder_flops_of(model: ModelConfig, patches: int) -> float:
    """Forward FLOPs of the μ-Encoder on a number of patches."""
    embed = 2 * patches * model.patch_size**2 * 3 * model.dim
    return embed + model.depth * _block_flops(patches + 1, model.dim, model.mlp_ratio)


def decoder_flops(model: ModelConfig) -> float:
    """Forward FLOPs of the μ-Decoder on one image."""
    n, dim = model.num_patches, model.decoder.dim
    ends = 2 * n * (model.dim * dim + dim * model.patch_size**2 * 3)
    return ends + model.decoder.depth * _block_flops(n, dim, model.mlp_ratio)


def dma_flops(model: ModelConfig) -> float:
    """Forward FLOPs of DMA on one pair: projections and one N×N product (two for `cross`)."""
    if model.dma.kind == "none":
        return 0.0
    n, dim = model.num_patches, model.dim
    projections = 1 + model.dma.output_projection
    if model.dma.reads == "motion":
        to_v = 2 * n * (dim + model.dma.motion_dim) * dim
        return trunk_flops(model) + to_v + model.dma.output_projection * 2 * n * dim**2
    products = 2 if model.dma.kind == "cross" else 1
    compared = 2 * 2 * n * _compared_size(model) * dim
    return compared + projections * 2 * n * dim**2 + products * 2 * n**2 * dim


def projector_flops(model: ModelConfig, dino: DinoConfig) -> float:
    """Forward FLOPs of DINO's projector on one contextual token."""
    return 2 * (
        model.dim * dino.hidden_dim
        + dino.hidden_dim**2
        + dino.hidden_dim * dino.bottleneck_dim
        + dino.bottleneck_dim * dino.output_dim
    )


def trunk_flops(model: ModelConfig) -> float:
    """Forward FLOPs of the motion trunk's convolutions on one pair."""
    read, side, total = len(BLURS) * PRODUCTS, model.image_size, 0.0
    for width in widths(model.patch_size):
        total += 2 * side**2 * 9 * read * width
        read, side = width, side // 2
    dim = model.dma.motion_dim
    return total + 2 * side**2 * (9 * (read + 2 * dim) * dim + 4 * dim)


def comparison_flops(model: ModelConfig) -> float:
    """Forward FLOPs that the calibrated map needs per frame."""
    if model.dma.reads == "motion":
        return trunk_flops(model) / 2
    encoder = encoder_flops(model, model.grid) if model.dma.reads == "tokens" else 0.0
    return encoder + 2 * model.num_patches * _compared_size(model) * model.dim


def _compared_size(model: ModelConfig) -> int:
    """The number of inputs from which the query of a patch is computed."""
    return model.dim if model.dma.reads == "tokens" else 3 * model.dma.window**2


def _block_flops(length: int, dim: int, mlp_ratio: float):
    projections = 2 * length * dim * (4 * dim + 2 * round(dim * mlp_ratio))
    return projections + 4 * length**2 * dim


def matmul_peak(dtype: str, repeats: int = 5) -> float:
    """Measured FLOP/s of a large square matrix product on one device, best of `repeats`."""
    # Large enough to fill a matrix unit; smaller on a CPU, which would take long.
    n = 2048 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((n, n), dtype)
    product = jax.jit(lambda a, b: a @ b)
    product(x, x).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        product(x, x).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def peak_of(config: Config, devices: int) -> float:
    """`matmul_peak` in the model's compute precision, summed over the `devices` of the mesh.

    The devices of a CPU share its cores and count as one.
    """
    dtype = jnp.dtype(compute_dtype(config.model)).name
    return matmul_peak(dtype) * (devices if jax.default_backend() != "cpu" else 1)

"""StableHLO through `jax.export`: the whole computation with its weights, for JAX to serve."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from mubert_jax.config import Config
from mubert_jax.data.files import replacing
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.training.objective import Params

PLATFORMS = ("cpu", "cuda", "tpu")


def write(config: Config, params: Params, output: Path) -> str:
    """Writes the serialized `jax.export.Exported` and says how it is called."""
    model = MicronBert(dataclasses.replace(config.model, attention="xla", dtype="float32"))
    params = {name: params[name] for name in params if name != "projector"}
    compare = jax.jit(
        lambda onset, apex: model.apply({"params": params}, onset, apex, method=_compare)
    )
    side = config.model.image_size
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8)
    function = export.export(compare, platforms=PLATFORMS)(images, images)
    with replacing(output) as temporary:
        temporary.write_bytes(function.serialize())
    return (
        f"StableHLO for {', '.join(PLATFORMS)}, any batch size\n"
        f'  call = jax.export.deserialize(open("{output}", "rb").read()).call\n'
        f"  seen = call(onset, apex)  # uint8 (batch, {side}, {side}, 3)\n"
        f"  seen: {', '.join(jax.eval_shape(function.call, *_two_images(side)))}"
    )


def _two_images(side: int):
    return [jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)] * 2


def _compare(model: MicronBert, onset_uint8: jax.Array, apex_uint8: jax.Array):
    """Everything a μ-BERT computes of two frames, by name; `model` is bound."""
    patches, inside = model(normalise(onset_uint8), normalise(apex_uint8))
    seen = {"poi_scores": inside.poi_scores, "dma_features": inside.dma_features}
    if inside.dma is not None:
        seen["movement"] = model.difference(inside.swapped, inside.reference)
        if inside.dma.diagonal is not None:
            seen["diagonal"] = inside.dma.diagonal
    if model.config.recognizer.classes:
        seen["logits"] = model.logits_of(inside.swapped, inside.reference)
    return seen | {"patches": patches}

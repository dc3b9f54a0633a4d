"""Official PyTorch names and layouts -> our parameters.

Linear weights turn from (out, in) to (in, out); the patch convolution (D, C, ps, ps) to a matrix
(ps·ps·C, D) that reads patches laid out (row, column, channel).
"""

import numpy as np

from mubert_jax.errors import UserError


def from_official(tensors: dict[str, np.ndarray]) -> dict:
    """Parameters of `MicronBert` (numpy float arrays) from a state dict under official names.

    Raises:
      UserError: a tensor that the architecture needs is missing; names it.
    """
    params: dict = {"encoder": _trunk(tensors, "backbone.blocks", "backbone.norm")}
    params["encoder"]["patch_embed"] = _patch_embed(tensors, "backbone.patch_embed.proj")
    params["encoder"]["contextual_token"] = _get(tensors, "backbone.cls_token").reshape(-1)
    params["decoder"] = _trunk(tensors, "decoder_blocks", "decoder_norm")
    params["decoder"]["embed"] = _linear(tensors, "decoder_embed")
    params["decoder"]["pred"] = _linear(tensors, "decoder_pred")
    if any(name.startswith("att.") for name in tensors):
        names = ("to_q", "to_k", "to_v", "proj")
        params["dma"] = {
            name: _linear(tensors, f"att.{name}")
            for name in names
            if f"att.{name}.weight" in tensors
        }
    return params


def _trunk(tensors, blocks, norm):
    depth = len({n.split(f"{blocks}.")[1].split(".")[0] for n in tensors if f"{blocks}." in n})
    trunk: dict = {f"blocks_{i}": _block(tensors, f"{blocks}.{i}") for i in range(depth)}
    trunk["norm"] = _norm(tensors, norm)
    return trunk


def _block(tensors, prefix):
    return {
        "norm1": _norm(tensors, f"{prefix}.norm1"),
        "attn": {name: _linear(tensors, f"{prefix}.attn.{name}") for name in ("qkv", "proj")},
        "norm2": _norm(tensors, f"{prefix}.norm2"),
        "mlp": {name: _linear(tensors, f"{prefix}.mlp.{name}") for name in ("fc1", "fc2")},
    }


def _linear(tensors, name):
    kernel = _get(tensors, f"{name}.weight").T
    return {"kernel": kernel, "bias": _get(tensors, f"{name}.bias")}


def _norm(tensors, name):
    return {"scale": _get(tensors, f"{name}.weight"), "bias": _get(tensors, f"{name}.bias")}


def _patch_embed(tensors, name):
    weight_DxCxPxP = _get(tensors, f"{name}.weight")
    kernel = weight_DxCxPxP.transpose(2, 3, 1, 0).reshape(-1, len(weight_DxCxPxP))
    return {"kernel": kernel, "bias": _get(tensors, f"{name}.bias")}


def _get(tensors, name):
    if name not in tensors:
        raise UserError(f"the state dict lacks the tensor {name!r}; is it an official Micron-BERT?")
    return np.asarray(tensors[name])

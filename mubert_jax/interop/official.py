"""Official tensor names and layouts beside ours: the one table that both directions use.

Our tensors are named by their paths, such as `encoder/blocks_0/attn/qkv/kernel`. Linear weights are
(in, out) here and (out, in) there; the patch embedding is a matrix (ps·ps·C, D) over patches laid
out (row, column, channel) here and a convolution (D, C, ps, ps) there. W_q and W_k that read pixels
are convolutions, (row, column, C, D) here and (D, C, row, column) in exported files; the official
model has none of them.
"""

import numpy as np

# The beginning of our path and of the official name; the first that fits counts.
MODULES = (
    ("encoder/contextual_token", "backbone.cls_token"),
    ("encoder/patch_embed/", "backbone.patch_embed.proj."),
    ("encoder/blocks_", "backbone.blocks."),
    ("encoder/norm/", "backbone.norm."),
    ("dma/", "att."),
    ("decoder/blocks_", "decoder_blocks."),
    ("decoder/", "decoder_"),
    ("projector/mlp_0/", "student.head.mlp.0."),
    ("projector/mlp_1/", "student.head.mlp.2."),
    ("projector/mlp_2/", "student.head.mlp.4."),
    ("projector/prototypes", "student.head.last_layer.weight_v"),
    ("recognizer/", "recognizer."),
)
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def official_name(path: str) -> str:
    """`encoder/blocks_0/norm1/scale` -> `backbone.blocks.0.norm1.weight`."""
    ours, theirs = next(module for module in MODULES if path.startswith(module[0]))
    *parts, leaf = path.removeprefix(ours).split("/")
    return theirs + ".".join((*parts, LEAVES.get(leaf, leaf)))


def to_official_layout(name: str, array: np.ndarray) -> np.ndarray:
    """Our array in the layout of the official tensor `name`."""
    if name == "backbone.cls_token":
        return array.reshape(1, 1, -1)
    if name == "backbone.patch_embed.proj.weight":
        size, dim = round((len(array) / 3) ** 0.5), array.shape[1]
        array = array.reshape(size, size, 3, dim)
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 else array


def from_official_layout(name: str, array: np.ndarray) -> np.ndarray:
    """The inverse of `to_official_layout`."""
    if name == "backbone.cls_token":
        return array.reshape(-1)
    if name == "backbone.patch_embed.proj.weight":
        return array.transpose(2, 3, 1, 0).reshape(-1, len(array))
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array

"""State dicts of torchvision's RAFT and ResNets as the variables of the same networks in Flax."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# A batch norm's tensors, and the collection and name that Flax has for each.
_NORM = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def raft(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `models.raft.RAFT`."""

    def place(module: str) -> tuple[str, ...]:
        inner = module.removeprefix("update_block.")
        return (module,) if inner == module else ("update", inner)

    return _variables(tensors, place)


def raft_tensors(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state dict whose `raft` is these variables."""
    leaves = {place: name for name, place in _NORM.items()}
    tensors = {}
    for collection, modules in variables.items():
        inside = {f"update_block.{name}": x for name, x in modules.get("update", {}).items()}
        outside = {name: x for name, x in modules.items() if name != "update"}
        for module, parts in (outside | inside).items():
            for leaf, array in parts.items():
                array = np.asarray(array)
                if leaf == "kernel":
                    tensors[f"{module}.weight"] = array.transpose(3, 2, 0, 1)
                else:
                    tensors[f"{module}.{leaves[collection, leaf]}"] = array
    return tensors


def resnet(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `models.resnet.ResNet`; the classifier, `fc`, is left out."""

    def place(module: str) -> tuple[str, ...]:
        if block := re.fullmatch(r"(layer\d)\.(\d+)\.(.*)", module):
            parts = {"downsample.0": "downsample_conv", "downsample.1": "downsample_bn"}
            return f"{block[1]}_{block[2]}", parts.get(block[3], block[3])
        return (module,)

    return _variables({k: x for k, x in tensors.items() if not k.startswith("fc.")}, place)


def _variables(tensors: Mapping[str, np.ndarray], place: Any) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name, tensor in tensors.items():
        module, leaf = name.rsplit(".", 1)
        if leaf == "num_batches_tracked":
            continue
        convolution = tensors[f"{module}.weight"].ndim == 4
        if convolution and leaf == "weight":
            path, tensor = ("params", "kernel"), tensor.transpose(2, 3, 1, 0)
        else:
            path = _NORM[leaf]
        collection, leaf = path
        node = variables.setdefault(collection, {})
        for part in place(module):
            node = node.setdefault(part, {})
        node[leaf] = tensor
    return variables

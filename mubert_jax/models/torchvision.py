"""State dicts of torchvision's RAFT and ResNets as the variables of the same networks in Flax."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

RESNET_LAYOUT = "torchvision"
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


def depths_of_resnet(tensors: Iterable[str]) -> tuple[int, ...]:
    """How many blocks each of the four stages has, by the names of tensors."""
    blocks = {tuple(name.split(".")[:2]) for name in tensors if name.startswith("layer")}
    return tuple(sum(stage == f"layer{i}" for stage, _ in blocks) for i in range(1, 5))


def state_dict_of_resnet(
    params: Mapping[str, Any], batch_stats: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The inverse of `resnet`; PyTorch counts batches anew."""
    parts = {"downsample_conv": "downsample.0", "downsample_bn": "downsample.1"}
    leaves = {(collection, leaf): name for name, (collection, leaf) in _NORM.items()}
    leaves["params", "kernel"] = "weight"
    tensors = {}
    for collection, tree in (("params", params), ("batch_stats", batch_stats)):
        for path, array in flatten_dict(tree).items():
            *modules, leaf = (parts.get(part, part).replace("_", ".") for part in path)
            array = np.asarray(array)
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
            tensors[".".join((*modules, leaves[collection, leaf]))] = array
    return tensors


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

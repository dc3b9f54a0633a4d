"""What public models compute, with weights by a formula, so that none of theirs is stored.

`parity/public_io.safetensors` holds outputs of torchvision 0.29.1 and timm 1.0.31;
`public_names.tsv` lists the tensors of their state dicts: model, number, name, shape, type.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

PARITY = Path(__file__).parent / "parity"
OUTPUTS = load_file(PARITY / "public_io.safetensors")


def listed(model: str) -> Iterator[tuple[int, str, tuple[int, ...], str]]:
    """(number, name, shape, type) of each tensor in a model's state dict."""
    for line in (PARITY / "public_names.tsv").read_text().splitlines():
        of, number, name, sides, dtype = line.split("\t")
        if of == model:
            shape = () if sides == "scalar" else tuple(map(int, sides.split("x")))
            yield int(number), name, shape, dtype


def by_formula(model: str) -> dict[str, np.ndarray]:
    """s = sin(0.37·k + i) for tensor i at flat index k, scaled by what the tensor is."""
    tensors = {}
    for number, name, shape, dtype in listed(model):
        s = np.sin(0.37 * np.arange(np.prod(shape)) + number).reshape(shape)
        if not dtype.startswith("float"):
            tensors[name] = np.zeros(shape, np.float32)
        elif len(shape) >= 2:
            tensors[name] = s / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("running_var"):
            tensors[name] = 1 + 0.1 * np.abs(s)
        else:
            tensors[name] = 1 + 0.1 * s if name.endswith("weight") else 0.05 * s
    return {name: x.astype(np.float32) for name, x in tensors.items()}


def pictures(seed: int, number: int, height: int, width: int) -> np.ndarray:
    """Waves with noise, (number, height, width, 3) float32."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    made = [
        [
            np.sin(x / (5 + c + n) + y / (7 + c)) * 0.5
            + 0.1 * random.standard_normal((height, width))
            for c in range(3)
        ]
        for n in range(number)
    ]
    return np.array(made, np.float32).transpose(0, 2, 3, 1)

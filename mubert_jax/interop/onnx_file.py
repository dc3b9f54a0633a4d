"""ONNX from the PyTorch module, checked with onnxruntime."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # noqa: F401 (torch.onnx needs it, and says so too late)
import onnxruntime
import onnxscript  # noqa: F401
import torch
from torch import nn

from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig, present
from mubert_jax.quiet import quiet

# A later one needs a newer runtime to read the file.
OPSET = 18
# The largest difference of the two, relative to the largest value: room for float32 sums in another
# order, and none for another computation.
TOLERANCE = 1e-4


class Comparison(nn.Module):
    """Two images -> everything a μ-BERT computes of them, as a tuple in the order of `outputs`."""

    def __init__(self, model: MicronBert):
        super().__init__()
        self.model = model
        dma, config = model.config.dma, model.config
        attends = dma == "diagonal" and config.dma_reads != "motion"
        self.outputs = [
            "poi_scores",
            "dma_features",
            *(["diagonal"] if attends else []),
            *(["movement"] if dma != "none" else []),
            *(["logits"] if config.classes else []),
            "patches",
        ]

    def forward(self, onset: torch.Tensor, apex: torch.Tensor) -> tuple[torch.Tensor, ...]:
        _, _, seen = self.model.compare(onset, apex)
        features = present(seen, "dma_features")
        values = [present(seen, "poi_scores"), features]
        if "diagonal" in self.outputs:
            values.append(present(seen, "dma.diagonal"))
        if "movement" in self.outputs:
            values.append(present(seen, "movement"))
        if "logits" in self.outputs:
            values.append(self.model.recognizer(seen))
        return (*values, self.model.reconstruct(onset, features))


def write(config: Config, tensors: Mapping[str, np.ndarray], output: Path) -> str:
    """Writes the file, runs it at batch 1 and 5, and says how it is called.

    Args:
      config: The config of the model.
      tensors: Its tensors, by official name.
      output: The file.

    Raises:
      UserError: onnxruntime and PyTorch differ by more than `TOLERANCE`, relative; nothing is kept.
    """
    state = {name: torch.from_numpy(np.array(x)) for name, x in tensors.items()}
    sizes = MicronBertConfig.from_model_section(config_lib.to_dict(config)["model"])
    module = Comparison(MicronBert.from_tensors(state, sizes)).eval()
    side = sizes.image_size
    with replacing(output) as temporary:
        _quietly(
            torch.onnx.export,
            module,
            (torch.zeros(2, 3, side, side), torch.ones(2, 3, side, side)),
            temporary,
            input_names=["onset", "apex"],
            output_names=module.outputs,
            dynamic_shapes=[{0: "batch"}, {0: "batch"}],
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
        )
        error = float(np.max([_difference(temporary, module, batch) for batch in (1, 5)]))
        if not error < TOLERANCE:
            raise UserError(
                f"{output}: onnxruntime and PyTorch differ by {error:.1e}, not less than "
                f"{TOLERANCE:.0e}; nothing was written; are the weights finite?"
            )
    return (
        f"ONNX opset {OPSET}, any batch size; onnxruntime agrees with PyTorch to {error:.0e}, "
        "relative, at batch 1 and 5\n"
        f"  inputs:  onset, apex: float32 (batch, 3, {side}, {side}), /255, ImageNet-normalised\n"
        f"  outputs: {', '.join(module.outputs)}"
    )


def _difference(path: Path, module: Comparison, batch: int):
    side = module.model.config.image_size
    generator = torch.Generator().manual_seed(batch)
    images = [torch.randn(batch, 3, side, side, generator=generator) for _ in range(2)]
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(
        None, dict(zip(("onset", "apex"), (x.numpy() for x in images), strict=True))
    )
    with torch.no_grad():
        wanted = module(*images)
    return np.max([_relative(np.asarray(a), b.numpy()) for a, b in zip(found, wanted, strict=True)])


def _relative(found: np.ndarray, wanted: np.ndarray):
    """The largest difference over the largest value; NaN if either has one."""
    return np.abs(found - wanted).max() / max(np.abs(wanted).max(), np.finfo(np.float32).tiny)


def _quietly(call: Callable[..., object], *args: Any, **kwargs: Any):
    """Hides what the exporter reports on stdout and through warnings, none of it for the user."""
    silent = contextlib.redirect_stdout(io.StringIO())
    with quiet("torch.onnx", logging.ERROR), silent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(*args, **kwargs)

"""The peers of `mubert bench step`: the same training step in PyTorch."""

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection

import jax.numpy as jnp
import numpy as np
import torch

from mubert_jax.config import Config, to_dict
from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig, patchify
from mubert_jax.models.images import normalise

# By name: whether attention is PyTorch's fused one, and whether the module is compiled.
PEERS = {"torch": (False, False), "torch-sdpa": (True, False), "torch-compile": (True, True)}


class TorchPeer:
    """A PyTorch training step in a process of its own; each call runs one step to its end.

    Two encoder passes, DMA, POI, decoder, AdamW, in the precision of ours, on the GPU if PyTorch
    has one. Its own process keeps PyTorch's threads and allocator out of ours, and sleeps while
    ours computes.

    Args:
      name: one of `PEERS`.
      config, batch: the model and the frames to train it on.
      dtype: "float32" or "bfloat16", the latter by autocast.
    """

    def __init__(self, name: str, config: Config, batch: Mapping[str, np.ndarray], dtype: str):
        frames = [
            np.ascontiguousarray(
                np.asarray(normalise(jnp.asarray(batch[name]))).transpose(0, 3, 1, 2)
            )
            for name in ("current", "reference")
        ]
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        arguments = (theirs, PEERS[name], config, dtype, *frames)
        self._process = spawn.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self):
        self._pipe.send("step")
        self._pipe.recv()

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Connection,
    peer: tuple[bool, bool],
    config: Config,
    dtype: str,
    current: np.ndarray,
    reference: np.ndarray,
):
    """Runs one step for each message, until the pipe closes."""
    fused, compiled = peer
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = to_dict(config)["model"]
    model = MicronBert(MicronBertConfig.from_model_section(sizes, fused_attention=fused)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), config.optimizer.learning_rate)
    pair = [torch.from_numpy(x).to(device) for x in (current, reference)]

    def loss_of(current: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            predicted, _ = model(reference, reference)
        target = patchify(current, config.model.patch_size)
        return (predicted.float() - target).square().mean()

    measured = torch.compile(loss_of) if compiled else loss_of
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        optimizer.zero_grad(set_to_none=True)
        loss = measured(*pair)
        loss.backward()
        optimizer.step()
        pipe.send(loss.item())

"""The peer of `mubert bench step`: the same training step in plain eager PyTorch."""

import multiprocessing

import numpy as np
import torch

from mubert_jax.config import Config, to_dict
from mubert_jax.errors import UserError
from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig, patchify
from mubert_jax.training.views import normalise


class TorchPeer:
    """A PyTorch training step in a process of its own; called, it runs one to its end.

    Two encoder passes, DMA, POI, decoder, AdamW. The process of its own keeps PyTorch's threads and
    allocator out of ours; it sleeps while ours computes.

    Raises:
      UserError: an agreement is asked for, which the peer does not train.
    """

    def __init__(self, config: Config, batch: dict):
        if config.loss.agreement != "none":
            raise UserError(
                "--peer=torch compares the step without agreement; add --config.loss.agreement=none"
            )
        frames = [
            np.ascontiguousarray(np.asarray(normalise(batch[name])).transpose(0, 3, 1, 2))
            for name in ("current", "reference")
        ]
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, config, *frames), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self):
        self._pipe.send("step")
        self._pipe.recv()

    def close(self):
        self._pipe.close()
        self._process.join()


def _serve(pipe, config: Config, current, reference):
    sizes = to_dict(config)["model"]
    model = MicronBert(MicronBertConfig.from_model_section(sizes, fused_attention=False))
    optimizer = torch.optim.AdamW(model.parameters(), config.optimizer.learning_rate)
    target = patchify(torch.from_numpy(current), config.model.patch_size)
    reference = torch.from_numpy(reference)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        optimizer.zero_grad(set_to_none=True)
        predicted, _ = model(reference, reference)
        loss = (predicted - target).square().mean()
        loss.backward()
        optimizer.step()
        pipe.send(loss.item())

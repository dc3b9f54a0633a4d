"""The peer of `mubert bench step`: the same training step in plain eager PyTorch."""

import torch

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig, patchify
from mubert_jax.training.views import normalise


class TorchStep:
    """Two encoder passes, DMA, POI, decoder, AdamW; called, it runs one step to its end.

    Raises:
      UserError: an agreement is asked for, which the peer does not train.
    """

    def __init__(self, config: Config, batch: dict):
        if config.loss.agreement != "none":
            raise UserError(
                "--peer=torch compares the step without agreement; add --config.loss.agreement=none"
            )
        model = config.model
        self._patch_size = model.patch_size
        self._model = MicronBert(
            MicronBertConfig(
                image_size=model.image_size,
                patch_size=model.patch_size,
                dim=model.dim,
                depth=model.depth,
                heads=model.heads,
                mlp_ratio=model.mlp_ratio,
                decoder_dim=model.decoder.dim,
                decoder_depth=model.decoder.depth,
                decoder_heads=model.decoder.heads,
                dma=model.dma.kind,
                poi=model.poi.enabled,
                fused_attention=False,
            )
        )
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), config.optimizer.learning_rate
        )
        self._current, self._reference = (
            torch.tensor(normalise(batch[name]).__array__().transpose(0, 3, 1, 2).copy())
            for name in ("current", "reference")
        )

    def __call__(self):
        self._optimizer.zero_grad(set_to_none=True)
        predicted, _ = self._model(self._reference, self._reference)
        loss = (predicted - patchify(self._current, self._patch_size)).square().mean()
        loss.backward()
        self._optimizer.step()
        return loss.item()

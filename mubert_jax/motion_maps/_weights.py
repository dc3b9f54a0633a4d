"""Where learned motion maps find their weights, which are not shipped."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from mubert_jax.errors import UserError


@dataclass(frozen=True)
class WeightsFile:
    """The file of a method's weights.

    Attributes:
      method: its name for a reader, such as "RAFT".
      variable: the environment variable that names the file.
      downloads: files that torchvision leaves in its folder, in the order in which they are looked
        for there; their names end in the beginning of their SHA-256.
      get: what to do where there is none.
    """

    method: str
    variable: str
    downloads: tuple[str, ...]
    get: str

    def path(self) -> Path | None:
        """The file; None if there is none."""
        if named := os.environ.get(self.variable):
            return Path(named)
        home = Path(os.environ.get("TORCH_HOME", "~/.cache/torch")).expanduser()
        there = (home / "hub" / "checkpoints" / name for name in self.downloads)
        return next((path for path in there if path.is_file()), None)

    def lacks(self) -> str:
        """What to do where there are no weights; "" if there are."""
        return "" if self.path() else f"needs weights that are not shipped: {self.get}"

    def version(self) -> str:
        """A digest of the weights; "" without any."""
        path = self.path()
        return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""

    def required(self) -> Path:
        """The file.

        Raises:
          UserError: there is none.
        """
        if (path := self.path()) is None:
            raise UserError(f"{self.method} {self.lacks()}")
        return path

    def tensors(self, path: Path) -> dict[str, np.ndarray]:
        """The tensors in a file of safetensors or of `torch.save`, whose pickle may build no more.

        Raises:
          UserError: there is no such file, it is damaged, or reading it needs PyTorch.
        """
        known = path.stem.rsplit("-", 1)[-1] if path.name in self.downloads else ""
        if known and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(known):
            raise UserError(
                f"{path} is damaged: its SHA-256 does not begin with {known}; get it again"
            )
        try:
            if path.suffix == ".safetensors":
                return load_file(path)
            import torch

            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)  # where a training keeps more beside it
            return {name: tensor.numpy() for name, tensor in state.items()}
        except ImportError as error:
            raise UserError(
                f"{path}: reading it needs PyTorch: pip install 'mubert_jax[torch]'"
            ) from error
        except Exception as error:  # each of the two libraries has many
            said = str(error).strip()
            reason = said.splitlines()[0] if said else type(error).__name__
            raise UserError(f"{path} cannot be read: {reason}") from error

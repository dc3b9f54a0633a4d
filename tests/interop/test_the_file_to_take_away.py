"""The page on PyTorch, run where there is PyTorch and a copy of one file, nothing else."""

import re
import shutil
from pathlib import Path

from conftest import tiny_config
from examples import random_weights, run_python

from mubert_jax.cli import main
from mubert_jax.interop import torch_module
from mubert_jax.training.checkpoints import save_imported

PAGE = Path(__file__).parents[2] / "docs" / "pytorch.md"
ABSENT = ("mubert_jax", "jax", "flax", "numpy", "safetensors", "timm", "torchvision")


def test_the_lines_of_the_page(tmp_path):
    config = tiny_config(model__recognizer__classes=3)
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    export = ["export", f"--checkpoint={tmp_path / 'run'}", "--format=torch"]
    assert main([*export, f"--output={tmp_path / 'model.pth'}", "--recognizer"]) == 0
    assert main([*export, f"--output={tmp_path / 'plain.pth'}"]) == 0
    shutil.copy(torch_module.__file__, tmp_path / "torch_module.py")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (lines,) = (block for block in blocks if "from_pretrained" in block)
    code = (
        "import sys\n"
        f"sys.modules |= dict.fromkeys({ABSENT!r})\n"
        "import torch\n"
        "onset, apex = torch.randint(0, 256, (2, 2, 32, 32, 3), dtype=torch.uint8)\n"
        f"{lines}\n"
        "assert patches.shape == (2, 16, 192) and features.shape == (2, 16, 32)\n"
        "assert interest.shape == seen['dma.diagonal'].shape == (2, 16)\n"
        "frames = normalise(onset), normalise(apex)\n"
        "assert model.logits(*frames).shape == (2, 3)\n"
        "assert not model.difference(frames[0], frames[0]).any()\n"
        "assert model.difference(*frames).any()\n"
        "other = MicronBert.from_pretrained('plain.pth', classes=4, image_size=48)\n"
        "larger = torch.randn(2, 1, 3, 48, 48)\n"
        "assert other.logits(*larger).shape == (1, 4)\n"
    )
    run_python(code, tmp_path)


def test_a_file_from_elsewhere_is_named(tmp_path):
    import pytest
    import torch

    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth was not written by `mubert export`"):
        torch_module.MicronBert.from_pretrained(tmp_path / "other.pth")

"""The pages are built without a warning, and what is made of the code is all there."""

import os
import runpy
import subprocess
import sys

from mubert_jax.config import Config, flatten

from .pages import ROOT


def hook(name: str) -> dict:
    return runpy.run_path(str(ROOT / "docs" / "hooks" / f"{name}.py"))


def test_the_pages_are_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    page = (tmp_path / "site" / "configuration.html").read_text()
    for key in flatten(Config()):
        assert f"<code>{key}</code>" in page, key
    assert "make_step" in (tmp_path / "site" / "api" / "training.html").read_text()
    assert "What works, and what is not shown" in (tmp_path / "site" / "index.html").read_text()


def test_the_tables_of_the_config_say_what_its_comments_say():
    found = hook("configuration")["tables"]()
    row = next(line for line in found.splitlines() if line.startswith("| `model.dma.window`"))
    assert "side of the window, the patch in its middle" in row and "| `12` |" in row
    assert "Read only where `config.model.dma.reads` is `'pixels'`." in row
    row = next(line for line in found.splitlines() if line.startswith("| `loss.agreement` "))
    assert "One of `none`, `mse`, `dino`, `contrastive`." in row


def test_the_front_page_leads_to_pages():
    text = hook("pages")["front_page"]()
    assert "](docs/" not in text and "](tutorial.md)" in text and "](benchmark.png)" in text
    assert "CHANGELOG.md)" not in text

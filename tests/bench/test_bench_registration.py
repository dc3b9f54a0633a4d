"""`mubert bench registration`, and who registers by POI."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from mubert_jax.bench import registration
from mubert_jax.cli import main
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.errors import UserError


def test_a_ratio_is_the_median_of_the_turns(monkeypatch):
    """Of three turns, in each of which the reference takes 4, 2 and 8 seconds, the other 1."""
    now, taken = [0.0], iter([0.0, 4.0, 2.0, 8.0])  # the first is not timed

    def wait(seconds):
        now[0] += seconds

    ways = {
        registration.REFERENCE: lambda: wait(next(taken)),
        "other": lambda: wait(1.0),
    }
    monkeypatch.setattr(registration, "_ways", lambda *_: dict(ways))
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    frame = np.zeros((8, 8, 3), np.uint8)
    pair = SimpleNamespace(onset=frame, apex=frame)
    monkeypatch.setattr(registration, "benchmark_pairs", lambda *_: [(pair, pair)] * 6)
    model = SimpleNamespace(image_size=8, patch_size=4)
    trained = SimpleNamespace(config=SimpleNamespace(model=model))
    reference, other = registration.bench_registration(trained, 6, 3, Console(quiet=True))
    name = f"ratio to {registration.REFERENCE}"
    assert (reference["pairs/s"], reference["pairs/s, slowest turn"], reference[name]) == (
        1.5,
        0.75,
        1.0,
    )
    assert (other["pairs/s"], other[name]) == (6.0, 4.0)


@pytest.mark.slow
def test_every_way_is_timed(trained_run, tmp_path):
    output = tmp_path / "rows.json"
    flags = ["--batch-size=2", "--steps=1", f"--output={output}"]
    assert main(["bench", "registration", f"--checkpoint={trained_run}", *flags]) == 0
    rows = json.loads(output.read_text())
    assert [row["way"] for row in rows] == [
        registration.REFERENCE,
        "in a batch, robust",
        "in a batch, poi with its encoder",
        "perceive, none",
        "perceive, robust",
        "perceive, poi",
    ]
    assert all(row["pairs/s"] > 0 for row in rows)


def test_without_a_model_nobody_registers_by_poi(capsys):
    assert main(["bench", "perception", "--align=poi"]) == 2
    assert "--align=poi registers by a checkpoint's POI" in capsys.readouterr().err
    with pytest.raises(UserError, match="--align 'poi': choose none, ecc, robust"):
        PrepareOptions(align="poi")

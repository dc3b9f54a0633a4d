"""`mubert bench ceiling`: told the truth, a model sees more; the table says how much more."""

import json

import numpy as np

from mubert_jax.bench.ceiling import true_pairs
from mubert_jax.cli import main


def test_pairs_are_of_training_people_and_say_what_moved():
    pairs = true_pairs(("clean", "all"), 4, size=56, patch_size=8, align="none")
    assert pairs.onset.shape == (4, 56, 56, 3) and pairs.moved.shape == (4, 49)
    assert pairs.moved.any() and not (pairs.moved & pairs.still).any()
    again = true_pairs(("clean", "all"), 2, size=56, patch_size=8, align="robust")
    np.testing.assert_array_equal(again.onset, pairs.onset[:2])
    assert (again.apex != pairs.apex[:2]).any()


def test_told_the_truth_it_sees_more(trained_run, tmp_path, capsys):
    output = tmp_path / "rows.json"
    arguments = [f"--checkpoint={trained_run}", "--subjects=3", "--conditions", "light"]
    flags = ["--pairs=32", "--steps=40", f"--output={output}"]
    assert main(["bench", "ceiling", *arguments, *flags]) == 0
    assert "told the truth" in capsys.readouterr().out
    rows = {row["map"]: row for row in json.loads(output.read_text())}
    frame = rows["DMA × POI"]
    assert frame["ceiling"] > frame["value"] and 0 < frame["halfway"] < 1
    share = (frame["value"] - 0.5) / (frame["ceiling"] - 0.5)
    assert abs(frame["share"] - share) < 1e-9

"""`mubert bench oracle`: told the truth, a model sees more; the table says how much more."""

import json

import numpy as np
import pytest

from mubert_jax.bench.oracle import share_of_the_way, true_pairs
from mubert_jax.cli import main
from mubert_jax.perception.benchmark import Row, benchmark_pairs, evaluate, learned_reader
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained


def test_pairs_are_of_training_people_and_say_what_moved():
    pairs = true_pairs(("clean", "all"), 4, size=56, patch_size=8, align="none")
    assert pairs.onset.shape == (4, 56, 56, 3) and pairs.moved.shape == (4, 49)
    assert pairs.moved.any() and not (pairs.moved & pairs.still).any()
    again = true_pairs(("clean", "all"), 2, size=56, patch_size=8, align="robust")
    np.testing.assert_array_equal(again.onset, pairs.onset[:2])
    assert (again.apex != pairs.apex[:2]).any()


def test_the_share_of_the_way_starts_at_chance():
    assert share_of_the_way(0.5, 0.9) == 0 and share_of_the_way(0.9, 0.9) == 1
    assert share_of_the_way(0.7, 0.9) == pytest.approx(0.5)
    assert share_of_the_way(0.4, 0.9) < 0


@pytest.mark.slow
def test_told_the_truth_it_sees_more(trained_run, tmp_path, capsys):
    """Its own score is the benchmark's; the copy learns on, so half of the way is another one."""
    output = tmp_path / "rows.json"
    arguments = [f"--checkpoint={trained_run}", "--subjects=3", "--conditions", "light"]
    flags = ["--pairs=32", "--steps=40", f"--output={output}"]
    assert main(["bench", "oracle", *arguments, *flags]) == 0
    assert "told the truth" in capsys.readouterr().out
    rows = {row["map"]: row for row in json.loads(output.read_text())}
    trained = Trained.of_run(trained_run)
    perceiver = Perceiver(trained.model, trained.params, trained.config.perception, batch=1)
    pairs = list(benchmark_pairs("light", 3, 32, 8))
    found = evaluate(learned_reader(perceiver), pairs, ("none",))
    for name, row, score in (
        ("DMA", Row("DMA", "none"), "auc_in_face"),
        ("DMA × POI", Row("DMA", "none", "POI"), "auc"),
    ):
        own, told = found[row]["all"][score].value, rows[name]
        assert told["value"] == pytest.approx(own, abs=1e-6)
        assert told["share"] == pytest.approx(share_of_the_way(own, told["oracle"]))
    frame = rows["DMA × POI"]
    assert frame["oracle"] > frame["value"]
    assert len({frame["value"], frame["halfway"], frame["oracle"]}) == 3

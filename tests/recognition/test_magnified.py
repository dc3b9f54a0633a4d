"""MagNet as a recognizer's first stage."""

import numpy as np
import pytest
from conftest import tiny_config
from magnet_files import made_up
from safetensors.numpy import save_file

from mubert_jax.cli import main
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError
from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PAPER
from mubert_jax.motion_maps.magnet import magnifier
from mubert_jax.perception.maps import Maps
from mubert_jax.recognition import finetune, predict
from mubert_jax.recognition.magnified import magnified
from mubert_jax.recognition.networks import make_network

ONSET, APEX = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 24, 3)).astype(np.uint8)


def test_apexes_are_magnified_and_onsets_pass_through_the_network(tmp_path, monkeypatch):
    path = tmp_path / "magnet.safetensors"
    save_file(magnet_weights.to_tensors(made_up(PAPER)), path)
    monkeypatch.setenv("MUBERT_MAGNET", str(path))
    magnify = magnifier(PAPER, made_up(PAPER))
    onset, apex = magnified(ONSET, APEX, 4.0)
    assert onset.dtype == apex.dtype == np.uint8 and onset.shape == apex.shape == ONSET.shape
    np.testing.assert_array_equal(apex[2], magnify(ONSET[2], APEX[2], 4.0).round())
    np.testing.assert_array_equal(onset[1], magnify(ONSET[1], ONSET[1], 4.0).round())


def test_without_a_factor_nothing_is_asked_for(monkeypatch):
    monkeypatch.delenv("MUBERT_MAGNET", raising=False)
    assert magnified(ONSET, APEX, 0.0) == (ONSET, APEX)
    with pytest.raises(UserError, match="MUBERT_MAGNET"):
        magnified(ONSET, APEX, 2.0)


def brighter(onset, apex, factor):
    return onset, apex + np.uint8(factor)


def test_training_and_prediction_read_what_it_made(tmp_path, monkeypatch, trained_run):
    folder = tmp_path / "pairs"
    people = ["--subjects=2", "--clips=5", "--size=32", "--frames=8", "--conditions", "lab"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={folder}", *people]) == 0
    config = tiny_config(
        data__path=str(folder),
        training__init_from=str(trained_run),
        recognition__magnification=7.0,
    )
    monkeypatch.setattr(finetune, "magnified", brighter)
    _, pairs, _ = finetune._opened(config, make_network(config), None)
    plain = LabelledPairs(folder, 32)
    np.testing.assert_array_equal(pairs.apex, plain.apex + np.uint8(7))

    monkeypatch.setattr(predict, "magnified", brighter)
    recognizer = object.__new__(predict.Recognizer)
    recognizer.classes, recognizer._magnification = ("a", "b"), 7.0
    recognizer._session = type("Session", (), {"notes": ()})
    seen = []
    recognizer._probabilities = lambda *frames: seen.append(frames) or np.array([[0.25, 0.75]])
    maps = Maps(plain.onset[:1], plain.apex[:1], *[None] * (len(Maps.__dataclass_fields__) - 2))
    assert recognizer.of_maps(maps).probabilities == {"a": 0.25, "b": 0.75}
    np.testing.assert_array_equal(seen[0][1], plain.apex[:1] + np.uint8(7))

"""How maps are read from a model: what `Perceiver` asks of it, and what becomes of the answers.

The model is a stand-in whose tokens are the patches' mean colours, so that every map is known.
"""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mubert_jax.config import PerceptionConfig
from mubert_jax.errors import UserError
from mubert_jax.models.dma import motion_log_odds
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import Encoded
from mubert_jax.perception.focus import evidence, focus
from mubert_jax.perception.maps import Perceiver, load_scale, measure_scale, save_scale

SIDE, GRID = 6, 3
AS_THEY_ARE = PerceptionConfig(align="none")


class MeanColours:
    """A model that reads q = the mean colour of each patch and k = twice that."""

    dma = SimpleNamespace(queries=lambda x: x, keys=lambda x: 2 * x, log_odds=motion_log_odds)

    def __init__(self, kind="diagonal", reads="pixels"):
        dma = SimpleNamespace(kind=kind, reads=reads, chunk=2)
        self.config = SimpleNamespace(grid=GRID, dma=dma)
        self.traced = []

    def apply(self, variables, *arguments, method):
        self.traced.append(len(arguments[0]))
        return method(self, *arguments)

    def encode(self, images):
        tokens = colours(images)
        looked = jnp.exp(tokens[..., 0])
        return Encoded(tokens, tokens[:, 0], looked / looked.sum(1, keepdims=True), tokens)

    def difference(self, current, reference):
        return (reference.compared - current.compared).sum(-1)

    def displacement(self, current, reference):
        return (reference.compared - 3 * current.compared)[..., :2]


def colours(images):
    shape = (len(images), GRID, SIDE // GRID, GRID, SIDE // GRID, 3)
    return images.reshape(shape).mean((2, 4)).reshape(len(images), GRID**2, 3)


def frames(count, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (2, count, SIDE, SIDE, 3)).astype(np.uint8)


def known(onset, apex):
    """q of both frames and S of the apex."""
    current, reference = (np.asarray(colours(normalise(x)), np.float64) for x in (onset, apex))
    looked = np.exp(reference[..., 0])
    return current, reference, looked / looked.sum(1, keepdims=True)


def test_the_papers_maps():
    """1 - diag(Â) and S·N as they are, and their product; tokens have no displacement."""
    onset, apex = frames(3)
    model = MeanColours(reads="tokens")
    reading = PerceptionConfig(map="diagonal", align="none", poi="attention")
    maps = Perceiver(model, {}, reading, batch=2)(onset, apex)
    current, reference, scores = known(onset, apex)
    attention = np.exp(np.einsum("bnd,bkd->bnk", current, 2 * reference) / np.sqrt(3))
    attention /= attention.sum(-1, keepdims=True)
    dma = (1 - np.diagonal(attention, axis1=1, axis2=2)).reshape(3, GRID, GRID)
    poi = (scores * GRID**2).reshape(dma.shape)
    np.testing.assert_allclose(maps.dma, dma, atol=1e-5)
    np.testing.assert_allclose(maps.poi, poi, rtol=1e-4)
    np.testing.assert_allclose(maps.dma_poi, dma * poi, atol=1e-4)
    assert maps.displacement.shape == (3, GRID, GRID, 2) and not maps.displacement.any()
    assert model.traced == [2], "the last batch is filled up: all are one program"


def test_the_calibrated_map_focused():
    onset, apex = frames(2)
    maps = Perceiver(MeanColours(), {}, AS_THEY_ARE, batch=2)(onset, apex)
    current, reference, scores = known(onset, apex)
    dma = np.maximum((reference - current).sum(-1), 0)
    poi = jax.jit(focus)(jnp.asarray(scores))
    assert (dma == 0).any() and (dma > 0).any()
    for found, expected in (
        (maps.dma, dma),
        (maps.poi, poi),
        (maps.dma_poi, jax.jit(evidence)(jnp.asarray(dma), poi)),
    ):
        np.testing.assert_allclose(found.reshape(2, -1), expected, rtol=1e-3, atol=1e-5)
    moved = (reference - 3 * current)[..., :2].reshape(2, GRID, GRID, 2)
    np.testing.assert_allclose(maps.displacement, moved, atol=1e-5)


def test_the_calibrated_map_times_attention():
    onset, apex = frames(1)
    maps = Perceiver(MeanColours(), {}, PerceptionConfig(align="none", poi="attention"), batch=1)(
        onset, apex
    )
    np.testing.assert_allclose(maps.dma_poi, maps.dma * maps.poi, rtol=1e-5)


def test_frames_their_difference_and_rows_of_them():
    onset, apex = frames(4)
    onset[2], apex[2] = 200, 180
    maps = Perceiver(MeanColours(), {}, AS_THEY_ARE, batch=3)(onset, apex)
    assert len(maps) == 4
    np.testing.assert_allclose(maps.difference[2], 20, atol=1e-3)
    assert (maps.difference >= 0).all()
    some = maps.take([2, 0])
    np.testing.assert_array_equal(some.apex, apex[[2, 0]])
    np.testing.assert_array_equal(some.dma, maps.dma[[2, 0]])


def test_without_dma_there_is_nothing_to_read():
    with pytest.raises(UserError, match="no map of movement; train with 'diagonal'"):
        Perceiver(MeanColours(kind="none"), {})


class Training:
    """A hundred pairs, and which were asked for."""

    def __init__(self, onset, apex):
        self._onset, self._apex = onset, apex
        self.asked = []

    def __len__(self):
        return len(self._onset)

    def pair(self, row, draw, seed):
        self.asked.append((row, draw, seed))
        return {"current": self._onset[row], "reference": self._apex[row]}


def test_the_scale_is_the_middle_of_the_strongest_hundredths():
    onset, apex = frames(100)
    training = Training(onset, apex)
    perceiver = Perceiver(MeanColours(), {}, AS_THEY_ARE, batch=16)
    found = measure_scale(perceiver, training)
    rows = np.linspace(0, 99, 64).astype(int)
    assert training.asked == [(row, row, 0) for row in rows]
    strongest = [np.percentile(perceiver(onset[[row]], apex[[row]]).dma, 99) for row in rows]
    assert found == pytest.approx(np.median(strongest))


def test_of_few_pairs_the_scale_looks_at_all():
    training = Training(*frames(3))
    measure_scale(Perceiver(MeanColours(), {}, AS_THEY_ARE, batch=4), training)
    assert [row for row, _, _ in training.asked] == [0, 1, 2]


def test_the_scale_is_kept_beside_the_run(tmp_path):
    assert load_scale(tmp_path) is None
    save_scale(tmp_path, 3.25)
    assert json.loads((tmp_path / "perception.json").read_text()) == {"calibrated": 3.25}
    assert load_scale(tmp_path) == 3.25
    (tmp_path / "perception.json").write_text("[3.25]")
    with pytest.raises(UserError, match="perception.json is damaged; delete it"):
        load_scale(tmp_path)

"""The benchmark's pairs and methods: what is compared is what it is called."""

import numpy as np
import pytest
from conftest import tiny_config
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.alignment import ALIGNERS
from mubert_jax.data.sets.controlled import FIRST_TEST_SUBJECT
from mubert_jax.data.video import grey
from mubert_jax.models.micron_bert import build_model
from mubert_jax.perception.controlled import benchmark_pairs, learned_methods, mass_on_face
from mubert_jax.perception.maps import Perceiver
from mubert_jax.training.state import init_params


@pytest.fixture(scope="module")
def pairs():
    return list(benchmark_pairs("drift", 2, 32, 8))


@pytest.fixture(scope="module")
def perceivers():
    config = tiny_config()
    model = build_model(config)
    params = init_params(config, model)
    return {
        name: Perceiver(model, params, PerceptionConfig(map=name), batch=1)
        for name in ("calibrated", "diagonal")
    }


def test_every_method_is_the_map_that_its_name_says(pairs, perceivers):
    for perceiver in perceivers.values():
        methods = learned_methods(perceiver)
        assert len(methods) == 2 * 3
        for pair in (pairs[0][0], pairs[1][1]):
            for align in ("none", *ALIGNERS):
                apex = pair.apex if align == "none" else ALIGNERS[align](pair.apex, pair.onset)
                maps = perceiver(pair.onset[None], apex[None])
                end = "" if align == "none" else f", {align}"
                for label, expected in (("DMA", maps.dma), ("DMA × POI", maps.dma_poi)):
                    found = methods[label + end](pair)
                    np.testing.assert_array_equal(found, expected[0])


def test_pairs_are_of_test_subjects_and_still_ones_do_not_move(pairs):
    assert [pair.subject - FIRST_TEST_SUBJECT for pair, _ in pairs] == [0, 0, 1, 1]
    for moving, still in pairs:
        assert moving.truth.displacement.max() > 0 and moving.amplitude > 0
        assert still.truth.displacement.max() == 0 and still.amplitude == 0
        assert (still.onset != still.apex).any() and (still.apex == moving.onset).all()


def test_mass_on_the_face_of_uniform_scores_is_the_faces_share(pairs, perceivers):
    class Uniform:
        def __call__(self, onset, apex):
            maps = perceivers["calibrated"](onset, apex)
            return type(maps)(**{**vars(maps), "poi": np.ones_like(maps.poi)})

    share = np.mean([pair.truth.face.mean() for pair, _ in pairs])
    assert mass_on_face(Uniform(), pairs) == pytest.approx(share)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_grey_is_the_luma_of_rgb(colour):
    red, green, blue = colour
    found = grey(np.array(colour, np.uint8))
    assert found == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue)

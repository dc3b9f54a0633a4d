"""The benchmark's pairs and rows: every method is read alike, and is what it is called."""

import itertools

import jax
import numpy as np
import pytest
from conftest import tiny_config
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.bench.perception import differences, everything
from mubert_jax.config import PerceptionConfig
from mubert_jax.data.alignment import align_robust
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT
from mubert_jax.data.video import grey
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.motion_maps import chosen
from mubert_jax.perception import benchmark
from mubert_jax.perception.benchmark import (
    Row,
    baseline_rows,
    benchmark_pairs,
    evaluate,
    learned_maps,
    learned_reader,
    mass_on_face,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.clip import patch_means

BASELINES = chosen()
ROWS = baseline_rows(BASELINES)


@pytest.fixture(scope="module")
def pairs():
    return list(benchmark_pairs("drift", 3, 32, 8))


@pytest.fixture(scope="module")
def trained():
    config = tiny_config()
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    return Trained(config, model, params, scale=None, seen=None)


def perceiver_of(trained, **reading):
    reading = PerceptionConfig(align="none", **reading)
    return Perceiver(trained.model, trained.params, reading, batch=1)


@pytest.fixture(scope="module")
def perceiver(trained):
    return perceiver_of(trained)


@pytest.mark.parametrize("align", ["none", "robust", "poi"])
def test_every_row_is_the_map_that_its_name_says(trained, perceiver, pairs, align):
    """Baselines and DMA, alone and × POI: all see the same frames and the same POI."""
    by_interest = ByInterest(trained.model, trained.params)
    for pair in (pairs[0][0], pairs[1][1]):
        apex = {
            "none": lambda pair=pair: pair.apex,
            "robust": lambda pair=pair: align_robust(pair.apex, pair.onset),
            "poi": lambda pair=pair: by_interest(pair.onset[None], pair.apex[None])[0],
        }[align]()
        maps = everything(trained, perceiver, BASELINES)(pair, align)
        seen = perceiver(pair.onset[None], apex[None])
        as_paper = perceiver_of(trained, map="diagonal", poi="attention")
        as_paper = as_paper(pair.onset[None], apex[None])
        difference = patch_means(np.abs(grey(apex) - grey(pair.onset)), 8)
        expected = {
            ("difference", ""): difference,
            ("difference", "POI"): difference * seen.poi[0],
            ("difference", "true face"): difference * pair.truth.face,
            ("DMA", ""): seen.dma[0],
            ("DMA", "POI"): seen.dma_poi[0],
            ("DMA, plain product", "POI"): seen.dma[0] * seen.poi[0],
            ("DMA", "S·N"): seen.dma[0] * as_paper.poi[0],
            ("1 - diag(Â)", ""): as_paper.dma[0],
            ("1 - diag(Â)", "S·N"): as_paper.dma_poi[0],
        }
        for row, map_gxg in expected.items():
            np.testing.assert_allclose(maps[row], map_gxg, rtol=1e-5, atol=1e-9, err_msg=str(row))
        for method in ROWS:
            np.testing.assert_allclose(maps[method, "POI"], maps[method, ""] * seen.poi[0])
        assert (apex != pair.apex).any() == (align != "none")


def test_no_baseline_is_denied_what_dma_gets(trained, perceiver, pairs):
    rows = evaluate(everything(trained, perceiver, BASELINES), pairs, ("none", "robust"))
    dma = {(row.align, row.times) for row in rows if row.method == "DMA"} - {
        ("none", "S·N"),
        ("robust", "S·N"),
    }
    for method in ROWS:
        assert {(row.align, row.times) for row in rows if row.method == method} == dma


def test_a_pair_is_registered_once_for_all_rows(monkeypatch, trained, perceiver):
    drawn = list(itertools.islice(benchmark_pairs("drift", 3, 32, 8), 6))
    asked = []

    def counted(how, image, template):
        asked.append(how)
        return image

    monkeypatch.setattr(benchmark, "aligned", counted)
    evaluate(everything(trained, perceiver, BASELINES), drawn, ("robust",))
    assert asked == ["robust"] * 2 * len(drawn)


def test_differences_are_of_rows_that_are_read_alike(trained, perceiver, pairs):
    rows = evaluate(everything(trained, perceiver, BASELINES), pairs, ("none", "robust"))
    overall = {row: difficulties["all"] for row, difficulties in rows.items()}
    less = differences(overall, "robust", ROWS)
    assert list(less) == ROWS
    for method, scores in less.items():
        for name, times in {"auc_in_face": "", "auc": "POI", "null": "POI"}.items():
            ours, theirs = (overall[Row(who, "robust", times)][name] for who in ("DMA", method))
            assert scores[name].value == pytest.approx(ours.value - theirs.value)


def test_what_learned_rows_are_elsewhere(perceiver, pairs):
    pair = pairs[0][0]
    seen = perceiver(pair.onset[None], pair.registered("robust")[None])
    maps = learned_reader(perceiver)(pair, "robust")
    np.testing.assert_array_equal(maps["DMA", ""], seen.dma[0])
    np.testing.assert_array_equal(maps["DMA", "POI"], seen.dma_poi[0])


def test_pairs_are_of_test_subjects_and_still_ones_do_not_move(pairs):
    assert [pair.subject - FIRST_TEST_SUBJECT for pair, _ in pairs] == [0, 0, 1, 1, 2, 2]
    for moving, still in pairs:
        assert moving.truth.displacement.max() > 0 and moving.amplitude > 0
        assert still.truth.displacement.max() == 0 and still.amplitude == 0
        assert (still.onset != still.apex).any() and (still.apex == moving.onset).all()


def test_mass_on_the_face_of_uniform_scores_is_the_faces_share(pairs, perceiver):
    class Uniform:
        align = "none"

        def __call__(self, onset, apex):
            maps = perceiver(onset, apex)
            return type(maps)(**{**vars(maps), "poi": np.ones_like(maps.poi)})

    share = np.mean([pair.truth.face.mean() for pair, _ in pairs])
    assert mass_on_face(Uniform(), pairs) == pytest.approx(share)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_grey_is_the_luma_of_rgb(colour):
    red, green, blue = colour
    found = grey(np.array(colour, np.uint8))
    assert found == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue)


def test_no_pair_is_registered_twice_and_poi_is_a_models(trained, pairs):
    pair = pairs[0][0]
    again = Perceiver(trained.model, trained.params, PerceptionConfig(), batch=1)
    with pytest.raises(ValueError, match="give a perceiver with align='none'"):
        learned_maps(again, pair, "none")
    with pytest.raises(ValueError, match="by POI needs a model"):
        pair.registered("poi")

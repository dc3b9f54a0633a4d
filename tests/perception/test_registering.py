"""`Perceiver` registers the apex by the middle of the frame, or by what POI looks at."""

from types import SimpleNamespace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.alignment import align_ecc, align_robust, face_ellipse
from mubert_jax.models.dma import motion_log_odds
from mubert_jax.models.micron_bert import Encoded
from mubert_jax.perception import registering
from mubert_jax.perception.focus import focus
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.registration import box_of

SIDE, GRID = 64, 8
SHARPNESS = 4.0
# The face is in a corner, where the ellipse in the middle hardly reaches.
FACE = slice(4, 32), slice(4, 32)


class LooksAtRed:
    """A model whose S is high where a frame is red, or with `params` of 0 everywhere."""

    dma = SimpleNamespace(log_odds=motion_log_odds)
    config = SimpleNamespace(grid=GRID, dma=SimpleNamespace(kind="diagonal", reads="tokens"))

    def __init__(self):
        self.encoded, self.sharpness = [], None

    def apply(self, variables, *arguments, method):
        self.sharpness = variables["params"]
        return (getattr(type(self), method) if isinstance(method, str) else method)(
            self, *arguments
        )

    def encode(self, images):
        self.encoded.append(len(images))
        cells = (len(images), GRID, SIDE // GRID, GRID, SIDE // GRID, 3)
        tokens = images.reshape(cells).mean((2, 4)).reshape(len(images), GRID**2, 3)
        looked = jnp.exp(self.sharpness * (tokens[..., 0] - tokens[..., 1]))
        return Encoded(tokens, tokens[:, 0], looked / looked.sum(1, keepdims=True), tokens)

    def difference(self, current, reference):
        return jnp.abs(reference.compared - current.compared).sum(-1)


def drifted(seed, shift=(1.5, -1.0)):
    """Onset and apex: a red face that drifts, over a background that does not."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    texture = np.clip(128 + 35 * smooth / smooth.std(), 0, 255).astype(np.float32)
    by = np.float32([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(texture, by, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    frames = []
    for face in (texture, moved):
        image = np.stack([0.4 * texture[::-1], texture[::-1], texture[::-1]], axis=-1)
        image[FACE] = np.stack([face, 0.3 * face, 0.3 * face], axis=-1)[FACE]
        frames.append(image.astype(np.uint8))
    return frames


@pytest.fixture(scope="module")
def pairs():
    """Three that drift, and one whose apex is another picture."""
    onset, apex = (np.stack(frames) for frames in zip(*map(drifted, range(4)), strict=True))
    apex[3] = drifted(7)[0][::-1, ::-1]
    return onset, apex


def maps_of(align, pairs, sharpness=SHARPNESS):
    """Of four pairs in batches of three: the second batch holds one, and two rows of nothing."""
    model = LooksAtRed()
    return Perceiver(model, sharpness, PerceptionConfig(align=align), batch=3)(*pairs), model


@pytest.fixture(scope="module")
def by_poi(pairs):
    return maps_of("poi", pairs)


@pytest.fixture(scope="module")
def by_ellipse(pairs):
    return maps_of("robust", pairs)


def left_on_the_face(onset, apex):
    apart = np.abs(onset.astype(float) - apex)
    return apart[:3, 8:28, 8:28].mean((1, 2, 3))


def test_poi_registers_the_face_wherever_it_is(pairs, by_poi, by_ellipse):
    onset, apex = pairs
    recorded = left_on_the_face(onset, apex)
    assert (left_on_the_face(onset, by_poi[0].apex) < 0.2 * recorded).all()
    everywhere, _ = maps_of("poi", pairs, sharpness=0.0)
    for other in (by_ellipse[0], everywhere):
        assert (left_on_the_face(onset, other.apex) > 0.5 * recorded).all()


def test_a_pair_that_gives_up_and_filled_up_rows_leave_the_others_alone(pairs, by_poi):
    """Frames alone are registered in one batch of all, for methods that learn nothing."""
    onset, apex = pairs
    maps, _ = by_poi
    given = ByInterest(LooksAtRed(), SHARPNESS)(onset, apex)
    assert np.abs(maps.apex.astype(int) - given).max() <= 1
    np.testing.assert_array_equal(maps.apex[3], apex[3])
    np.testing.assert_array_equal(maps.onset, onset)
    assert np.isfinite(maps.dma_poi).all() and maps.apex.dtype == np.uint8


def test_onsets_and_registered_apexes_are_encoded_once_each(by_poi, by_ellipse):
    assert by_poi[1].encoded == by_ellipse[1].encoded == [3, 3]


@pytest.mark.parametrize("align, one", [("ecc", align_ecc), ("robust", align_robust)])
def test_the_others_are_registered_as_one_by_one(pairs, align, one):
    """Of frames that drift as a whole."""
    onset, _ = pairs
    apex = np.roll(onset, (1, 2), axis=(1, 2))
    expected = np.stack([one(b, a) for a, b in zip(onset, apex, strict=True)])
    assert (np.abs(expected.astype(int) - apex) > 1).mean() > 0.5
    seen = maps_of(align, (onset, apex))[0].apex
    assert (np.abs(seen.astype(int) - expected) > 1).mean() < 0.02


def test_frames_may_stay_as_they_are(pairs):
    _, apex = pairs
    np.testing.assert_array_equal(maps_of("none", pairs)[0].apex, apex)


@pytest.fixture
def asked(monkeypatch):
    """What a registration is given, instead of it: (apex, onset, weights, box) in order."""
    asked = []
    registered = jnp.array([-3.0, 0.4, 0.6, 254.6, 300.0])

    def register(apex, onset, weights, box=None):
        asked.append((apex, onset, np.asarray(weights), box))
        return registered, None

    monkeypatch.setattr(registering, "register", register)
    return asked


def frames_of(side):
    return np.zeros((2, side, side, 3), np.uint8), np.ones((2, side, side, 3), np.uint8)


def test_a_pixel_counts_by_the_root_of_how_much_poi_looks_at_it(asked):
    scores = np.random.default_rng(0).dirichlet(np.full(16, 2.0), 2).astype(np.float32)
    registering.by_interest(*frames_of(4), scores)
    registering.by_interest(*frames_of(12), scores)
    (_, _, weights, box), (_, _, fine, _) = asked
    expected = np.sqrt(focus(scores)).reshape(2, 4, 4)
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    np.testing.assert_allclose(fine[:, 1::3, 1::3], expected, rtol=1e-5)
    assert box is None and fine.shape == (2, 12, 12)


def test_without_poi_the_pixels_of_the_ellipse_count_if_there_are_any(asked):
    for side in (16, 2):
        onset, apex = frames_of(side)
        registering.by_ellipse(onset, apex)
        given_apex, given_onset, weights, box = asked.pop()
        face = face_ellipse((side, side))
        assert given_apex is apex and given_onset is onset
        np.testing.assert_array_equal(weights, [face, face])
        assert box == (box_of(face) if side == 16 else None)
    assert not face.any()


def test_registered_frames_are_whole_levels_from_0_to_255(asked):
    levels = registering.by_ellipse(*frames_of(16))
    assert levels.dtype == np.uint8 and levels.tolist() == [0, 0, 1, 255, 255]


def test_frames_that_several_models_share_are_registered_by_none_of_them():
    shared = {align: registering.without_interest(align) for align in ("poi", "robust", "none")}
    assert shared == {"poi": "robust", "robust": "robust", "none": "none"}

"""Emotion-like labels: found where they are, not where they are not, never across a subject."""

import dataclasses

import numpy as np
import pytest

from mubert_jax.perception.emotions import Labelled, labelled_pairs, pixel_changes, recognition
from mubert_jax.recognition.metrics import uf1


@pytest.fixture(scope="module")
def pairs():
    return labelled_pairs("clean", subjects=10, size=56)


def test_every_subject_shows_several_emotions(pairs):
    assert len(np.unique(pairs.subject)) == 10 and len(pairs.emotion) == 50
    assert len(np.unique(pairs.emotion)) == 5
    assert pairs.onset.shape == pairs.apex.shape == (50, 56, 56, 3)


def test_pixels_tell_emotions_above_chance_and_shuffled_ones_do_not(pairs):
    features = pixel_changes(pairs)
    found = recognition(features, pairs, uf1)
    shuffled = np.random.default_rng(0).permutation(pairs.emotion)
    chance = recognition(features, dataclasses.replace(pairs, emotion=shuffled), uf1)
    assert found.value > 0.35 > chance.value
    assert found.low < found.value < found.high


def test_what_only_a_subjects_own_clips_tell_is_not_used():
    random = np.random.default_rng(0)
    subject = np.repeat(np.arange(20), 6)
    emotion = np.array(["anger", "disgust"])[random.integers(0, 2, 20)][subject]
    own = np.eye(20)[subject]
    images = np.zeros((120, 8, 8, 3), np.uint8)
    pairs = Labelled(images, images, emotion, subject)
    assert recognition(own, pairs, uf1).value < 0.6
    shown = np.tile((emotion == "anger")[:, None] * 1.0, 50)
    assert recognition(shown, pairs, uf1).value == 1.0


def test_cells_are_sums_over_the_frame():
    images = np.zeros((2, 56, 56, 3), np.uint8)
    apex = images.copy()
    apex[0, :2, :2] = 100
    pairs = Labelled(images, apex, np.array(["a", "b"]), np.arange(2))
    features = pixel_changes(pairs)
    assert features.shape == (2, 28 * 28)
    assert features[0, 0] > 0 and not features[0, 1:].any() and not features[1].any()

"""How people show emotions: each in a way of their own, and the same way again."""

import numpy as np
import pytest

from mubert_jax.synthetic import expressions
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.expressions import BOTH, EMOTIONS, RIGHT, Expression
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.mesh import MeshMovement
from mubert_jax.synthetic.movements import Movement

UPRIGHT = Pose((0.5, 0.5), 0.3, 0.0, (0, -0.5, 1), 0.5)


def shown(emotion: str, person: int, clips: int = 40) -> list[Expression]:
    return [
        Expression.individual(np.random.default_rng([9, clip, person]), emotion, person)
        for clip in range(clips)
    ]


def mean_strengths(emotion: str, person: int) -> dict[int, float]:
    """Unit -> its mean strength over clips in which it is the person's, not blended in."""
    clips = shown(emotion, person)
    units = {unit for clip in clips for unit in clip.units}
    often = [u for u in units if sum(u in clip.units for clip in clips) > len(clips) / 3]
    return {u: float(np.mean([sum(clip.units.get(u, (0, 0))) for clip in clips])) for u in often}


def only(monkeypatch, **habits):
    """Everybody is alike, but for `habits`."""
    alike = {"STRENGTHS": 0.0, "OWN": 0.0, "BLENDED": 0.0, "LEFT_OF_IT": 1.0}
    for name, value in (alike | habits).items():
        monkeypatch.setattr(expressions, name, value)


def units_of(emotion: str) -> set[int]:
    return {unit for units in EMOTIONS[emotion] for unit in units}


@pytest.mark.parametrize(
    "emotion, always, perhaps",
    [
        ("happiness", {12}, {6}),
        ("surprise", {1, 2}, {5, 26}),
        ("disgust", {9}, {4, 10}),
        ("anger", {4}, {7, 24}),
        ("sadness", {15}, {1, 17}),
    ],
)
def test_the_units_of_an_emotion_are_those_of_its_prototypes(emotion, always, perhaps):
    sets = [set(units) for units in EMOTIONS[emotion]]
    assert set.intersection(*sets) == always and set.union(*sets) == always | perhaps


def test_a_typical_expression_is_any_of_the_sets_on_both_sides_alike():
    random = np.random.default_rng(0)
    for emotion, sets in EMOTIONS.items():
        seen = [Expression.typical(random, emotion) for _ in range(60)]
        assert {tuple(clip.units) for clip in seen} == set(sets)
        assert {sides for clip in seen for sides in clip.units.values()} == {(1.0, 1.0)}
        assert {clip.emotion for clip in seen} == {emotion}
    assert BOTH == (1.0, 1.0) and RIGHT == (1.0, 0.0)


def test_people_prefer_few_sets_and_every_set_is_somebodys(monkeypatch):
    only(monkeypatch)
    sets = EMOTIONS["surprise"]
    counts = []
    for person in range(100):
        clips = [tuple(clip.units) for clip in shown("surprise", person, clips=20)]
        counts.append([clips.count(units) / 20 for units in sets])
    np.testing.assert_allclose(np.mean(counts, axis=0), 1 / 3, atol=0.1)
    # The greatest of three shares by Dirichlet's distribution; of equal ones it would be 0.33.
    assert np.mean(np.max(counts, axis=1)) == pytest.approx(0.77, abs=0.04)


def test_a_unit_is_stronger_in_some_people_and_weaker_in_each_clip():
    """A unit that is in all sets, on the stronger side."""
    strengths = np.array(
        [[max(clip.units[4]) for clip in shown("anger", person, 20)] for person in range(150)]
    )
    of_person = np.log(strengths.max(1))
    assert abs(of_person.mean()) < 0.15 and np.std(of_person) == pytest.approx(0.5, abs=0.06)
    of_clip = strengths / strengths.max(1, keepdims=True)
    assert 0.6 < of_clip.min() < 0.61 and 0.8 < of_clip.mean() < 0.85


def test_every_unit_has_a_strength_of_its_own(monkeypatch):
    only(monkeypatch, LEFT_OF_IT=expressions.LEFT_OF_IT)
    pairs = [
        [max(sides) for sides in clip.units.values()][:2]
        for person in range(40)
        for clip in shown("surprise", person, clips=4)
    ]
    assert abs(np.corrcoef(np.transpose(pairs))[0, 1]) < 0.2
    assert 0.6 <= np.min(pairs) and np.max(pairs) <= 1


def test_half_of_the_people_move_the_left_side_less_and_none_less_than_a_fifth(monkeypatch):
    only(monkeypatch)
    sides = np.array([next(iter(shown("anger", p, 1)[0].units.values())) for p in range(200)])
    right, left = sides.T
    np.testing.assert_array_equal(sides.max(1), 1.0)
    assert 0.4 < (left < right).mean() < 0.6
    weaker = sides.min(1)
    assert 0.2 <= weaker.min() < 0.22 and 0.97 < weaker.max() <= 1


def test_half_of_the_people_add_a_weak_unit_of_another_emotion(monkeypatch):
    only(monkeypatch, OWN=expressions.OWN)
    known = set.union(*map(units_of, EMOTIONS))
    added = []
    for person in range(200):
        first, again = ({u: max(s) for u, s in c.units.items()} for c in shown("anger", person, 2))
        assert {first[u] for u in units_of("anger") & set(first)} == {1.0}
        own = [{u: s for u, s in x.items() if u not in units_of("anger")} for x in (first, again)]
        assert own[0] == own[1] and len(own[0]) <= 1
        added += own[0].items()
    units, strengths = zip(*added, strict=True)
    assert 80 < len(added) < 120 and set(units) == known - units_of("anger")
    assert 0.2 <= min(strengths) < 0.21 and 0.59 < max(strengths) <= 0.6
    for share, count in ((0.0, 0), (1.0, 1)):
        only(monkeypatch, OWN=share)
        clips = [clip for person in range(5) for clip in shown("anger", person, 1)]
        assert [len(set(c.units) - units_of("anger")) for c in clips] == [count] * 5


def test_three_clips_in_ten_blend_in_a_set_of_another_emotion(monkeypatch):
    only(monkeypatch, BLENDED=expressions.BLENDED)
    others = [units for name in EMOTIONS if name != "anger" for units in EMOTIONS[name]]
    blended, total = [], 0
    for person in range(100):
        for clip in shown("anger", person, clips=10):
            strengths = {unit: max(sides) for unit, sides in clip.units.items()}
            mine = {unit for unit, strength in strengths.items() if strength == 1.0}
            assert mine in [set(units) for units in EMOTIONS["anger"]]
            total += 1
            if added := {unit: s for unit, s in strengths.items() if unit not in mine}:
                assert any(set(added) | mine == set(units) | mine for units in others)
                (strength,) = set(added.values())
                blended.append((tuple(added), strength))
    assert 0.26 < len(blended) / total < 0.34
    sets, strengths = zip(*blended, strict=True)
    assert {unit for units in sets for unit in units} >= {1, 2, 5, 6, 9, 10, 12, 15, 17, 26}
    assert 0.2 <= min(strengths) < 0.21 and 0.49 < max(strengths) <= 0.5


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_everybody_uses_a_set_of_the_emotion(emotion):
    for person in range(20):
        for clip in shown(emotion, person, clips=5):
            assert any(set(units) <= set(clip.units) for units in EMOTIONS[emotion])


def test_people_differ_in_units_and_strengths_and_keep_their_ways():
    ways = [mean_strengths("surprise", person) for person in range(12)]
    assert len({tuple(sorted(way)) for way in ways}) > 4
    of_both = [way[1] / way[2] for way in ways if {1, 2} <= set(way)]
    assert max(of_both) / min(of_both) > 2


def test_a_person_moves_one_side_less():
    for person in range(10):
        ratios = [
            np.log(right / left)
            for emotion in EMOTIONS
            for clip in shown(emotion, person, clips=4)
            for right, left in clip.units.values()
        ]
        assert np.ptp(ratios) < 1e-6
    first, second = (next(iter(shown("anger", p, 1)[0].units.values())) for p in (0, 1))
    assert first[0] / first[1] != pytest.approx(second[0] / second[1])


def test_some_clips_blend_two_emotions():
    units = [len(clip.units) for clip in shown("happiness", 3, clips=200)]
    assert 0.2 < np.mean(np.array(units) > min(units)) < 0.7


@pytest.mark.parametrize("kind", [Movement, MeshMovement])
def test_the_weaker_side_moves_less(kind):
    random, person = np.random.default_rng(0), Identity.draw(5)
    expression = Expression("happiness", {12: (1.0, 0.3)})
    field = kind.of_expression(random, person, expression, 2.0).field(UPRIGHT, 224)
    length = np.linalg.norm(field, axis=-1)
    assert length[:, 112:].max() == pytest.approx(2.0, rel=0.05)
    assert 0.1 < length[:, :112].max() / 2.0 < 0.6


def test_a_clip_that_is_individual_shows_it():
    typical, individual = (
        [SyntheticClip(2, index, individual=own).movement for index in range(12)]
        for own in (False, True)
    )
    assert [x.emotion for x in typical] == [x.emotion for x in individual]
    sets = {units for sets in EMOTIONS.values() for units in sets}
    assert all(movement.action_units in sets for movement in typical)
    assert any(movement.action_units not in sets for movement in individual)

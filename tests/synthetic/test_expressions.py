"""How people show emotions: each in a way of their own, and the same way again."""

import numpy as np
import pytest

from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.expressions import EMOTIONS, Expression
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.mesh import MeshMovement
from mubert_jax.synthetic.movements import Movement

UPRIGHT = Pose((0.5, 0.5), 0.3, 0.0, (0, -0.5, 1), 0.5)


def shown(emotion: str, person: int, clips: int = 40) -> list[Expression]:
    return [
        Expression.individual(np.random.default_rng([9, clip]), emotion, person)
        for clip in range(clips)
    ]


def mean_strengths(emotion: str, person: int) -> dict[int, float]:
    """Unit -> its mean strength over clips in which it is the person's, not blended in."""
    clips = shown(emotion, person)
    units = {unit for clip in clips for unit in clip.units}
    often = [u for u in units if sum(u in clip.units for clip in clips) > len(clips) / 3]
    return {u: float(np.mean([sum(clip.units.get(u, (0, 0))) for clip in clips])) for u in often}


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

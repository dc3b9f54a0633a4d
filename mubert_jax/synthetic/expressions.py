"""How a person shows an emotion: by which action units, how strongly, and on which side.

The sets of units follow the prototypes of the Facial Action Coding System's manual in part; the
habits of people and the strengths come from no measurement.
"""

import dataclasses

import numpy as np

# Emotion -> the sets of action units that may show it.
EMOTIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "happiness": ((6, 12), (12,)),
    "surprise": ((1, 2), (1, 2, 5), (1, 2, 26)),
    "disgust": ((9,), (4, 9), (9, 10)),
    "anger": ((4,), (4, 7), (4, 24)),
    "sadness": ((1, 15), (15, 17), (15,)),
}
# A face that is alike on both sides, and one of which the right side alone moves.
BOTH, RIGHT = (1.0, 1.0), (1.0, 0.0)
# How evenly a person takes the sets of an emotion (Dirichlet): a smaller one makes people more
# unlike each other.
EVENNESS = 0.5
# Standard deviation of the logarithm of a unit's strength between people.
STRENGTHS = 0.5
# How weakly the weaker side of a person's face may move.
WEAKEST = 0.2
# How often a person adds a unit of no set of the emotion, and its strength.
OWN, OWN_STRENGTH = 0.5, (0.2, 0.6)
# How often a clip shows a second emotion, and its strength.
BLENDED, BLENDED_STRENGTH = 0.3, (0.2, 0.5)
# The least strength that is left of a unit in a clip, of that which the person gives it.
LEFT_OF_IT = 0.6


@dataclasses.dataclass(frozen=True)
class Expression:
    """What one clip shows.

    Attributes:
      emotion: its label.
      units: action unit -> its strength on the right and on the left side of the face.
    """

    emotion: str
    units: dict[int, tuple[float, float]]

    @classmethod
    def typical(cls, random: np.random.Generator, emotion: str) -> "Expression":
        """One of the sets of units that show the emotion, alike in all people."""
        sets = EMOTIONS[emotion]
        return cls(emotion, dict.fromkeys(sets[random.integers(len(sets))], BOTH))

    @classmethod
    def individual(cls, random: np.random.Generator, emotion: str, person: int) -> "Expression":
        """The emotion as one person shows it, whose habits are drawn from the seed `person`.

        People prefer different sets, give the units strengths of their own, move one side less and
        add a unit that is theirs; a clip may blend in another emotion.
        """
        ways = np.random.default_rng([person, 3, list(EMOTIONS).index(emotion)])
        sets = EMOTIONS[emotion]
        preferred = ways.dirichlet(np.full(len(sets), EVENNESS))
        strengths = dict.fromkeys(sets[random.choice(len(sets), p=preferred)], 1.0)
        known = sorted({unit for sets in EMOTIONS.values() for units in sets for unit in units})
        if ways.random() < OWN:
            others = [unit for unit in known if unit not in {x for units in sets for x in units}]
            strengths[others[ways.integers(len(others))]] = ways.uniform(*OWN_STRENGTH)
        if random.random() < BLENDED:
            others = [name for name in EMOTIONS if name != emotion]
            sets = EMOTIONS[others[random.integers(len(others))]]
            added = dict.fromkeys(
                sets[random.integers(len(sets))], random.uniform(*BLENDED_STRENGTH)
            )
            strengths = added | strengths
        face = np.random.default_rng([person, 4])
        own = dict(zip(known, np.exp(STRENGTHS * face.standard_normal(len(known))), strict=True))
        weaker = face.uniform(WEAKEST, 1.0)
        sides = (1.0, weaker) if face.random() < 0.5 else (weaker, 1.0)
        units = {}
        for unit, strength in strengths.items():
            strength = float(strength * own[unit] * random.uniform(LEFT_OF_IT, 1.0))
            units[unit] = strength * sides[0], strength * sides[1]
        return cls(emotion, units)

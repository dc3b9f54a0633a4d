"""The conditions that long videos are recorded under, by the names that `--conditions` takes."""

import dataclasses
from collections.abc import Iterable

from mubert_jax.errors import UserError
from mubert_jax.synthetic.events import Rates
from mubert_jax.synthetic.nuisances import Nuisances


@dataclasses.dataclass(frozen=True)
class LongCondition:
    """What changes all the time, and what happens how often."""

    nuisances: Nuisances
    rates: Rates


# A head that is held nearly still, under steady lamps.
_LAB = Nuisances(drift=1.0, turn=0.3, gain=0.015, gradient=0.015, noise=1.0)
_EASY = Rates()
_FREE = Nuisances(
    drift=4.0, turn=1.0, gain=0.05, gradient=0.05, flicker=0.004, noise=2.0, background=2.0
)
_SPEECH, _TURN, _LIGHT, _CUT = 1.5, 2.0, 1.0, 0.7
_ALL = Rates(speech=_SPEECH, turn=_TURN, light=_LIGHT, cut=_CUT)
# Beside "easy", one other thing at a time tells what a method takes for an expression.
LONG_CONDITIONS = {
    "still": LongCondition(Nuisances(noise=1.0), Rates(micro=0, macro=0)),
    "easy": LongCondition(_LAB, _EASY),
    "speech": LongCondition(_LAB, dataclasses.replace(_EASY, speech=_SPEECH)),
    "turns": LongCondition(_LAB, dataclasses.replace(_EASY, turn=_TURN)),
    "lamps": LongCondition(_LAB, dataclasses.replace(_EASY, light=_LIGHT)),
    "cuts": LongCondition(_LAB, dataclasses.replace(_EASY, cut=_CUT)),
    "drift": LongCondition(dataclasses.replace(_LAB, drift=6.0, turn=1.5), _EASY),
    "all": LongCondition(_FREE, _ALL),
    "crowded": LongCondition(_FREE, dataclasses.replace(_ALL, overlapping=True)),
}


def known_long_conditions(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple; UserError for a name that is not in `LONG_CONDITIONS`."""
    if unknown := [name for name in names if name not in LONG_CONDITIONS]:
        known = ", ".join(LONG_CONDITIONS)
        raise UserError(f"--conditions {unknown[0]}: with --long, choose from {known}")
    return tuple(names)

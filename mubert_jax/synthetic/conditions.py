"""The conditions that people are recorded under, by the names that `--conditions` takes."""

import dataclasses
from collections.abc import Iterable

from mubert_jax.errors import UserError
from mubert_jax.synthetic.foreign import Foreign
from mubert_jax.synthetic.nuisances import Nuisances
from mubert_jax.synthetic.wild import Wild

# A head that is held still and steady lamps, as in a recording lab; the others are for one nuisance
# at a time, or for all. The strengths are assumptions: larger ones make the benchmark harder.
LAB = Nuisances(drift=1.5, turn=0.4, gain=0.03, gradient=0.03, flicker=0.005, noise=1.5)
# Outside a lab; the background stands still or passes by.
WILD = Wild(
    drift=4.0,
    turn=1.0,
    gain=0.06,
    gradient=0.06,
    flicker=0.01,
    noise=2.0,
    sway=1.0,
    colourless=0.25,
)
CONDITIONS: dict[str, Nuisances | Foreign] = {
    "clean": Nuisances(),
    "lab": LAB,
    "busy-lab": dataclasses.replace(LAB, background=4.0),
    "light": Nuisances(gain=0.06, gradient=0.06, flicker=0.01),
    "drift": Nuisances(drift=1.5, turn=0.4),
    "noise": Nuisances(noise=4.0),
    "compression": Nuisances(quality=60),
    "background": Nuisances(background=4.0),
    "textured": Nuisances(background=4.0, textured=True),
    "all": Nuisances(
        drift=1.5,
        turn=0.4,
        gain=0.06,
        gradient=0.06,
        flicker=0.01,
        noise=2.0,
        quality=80,
        background=4.0,
    ),
    "foreign": Foreign(),
    "wild": WILD,
    "busy-wild": dataclasses.replace(WILD, background=12.0),
}


def known_conditions(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple; UserError for a name that is not in `CONDITIONS`."""
    if unknown := [name for name in names if name not in CONDITIONS]:
        raise UserError(f"--conditions {unknown[0]}: choose from {', '.join(CONDITIONS)}")
    return tuple(names)

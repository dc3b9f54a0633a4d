"""What counts as noise for each method, and which threshold gives how many false alarms.

Measured on four minutes of people of seed 1, who are never tested on: `LongVideo`s of a minute
without an expression, with 12 blinks, one under each of the nuisances of "all" and of "drift" and
two under worse ones (a drift of 10 pixels, 3 degrees, light that changes by 10 % with a flicker of
2 %, noise of 4 grey levels, JPEG of quality 50). A threshold is the score of the last false alarm
that is let through.

`mubert bench calibration` counts the same on any people of that seed. Others than these give other
scores: the first four give 273, 4.6, 3.3, 3.3 and 2.4 for DMA, and 2.7, 1.2, 1.1, 1.1 and 0.9 for
the difference. Farnebäck flow's are of these first four.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mubert_jax.spotting.comparing import DMA

# False alarms per minute of still video that are expected unless told otherwise.
FALSE_ALARMS = 0.5
# The share of the threshold from which what was found is kept for the slider of the page.
KEPT = 0.3


@dataclass(frozen=True)
class Calibration:
    """One method.

    Attributes:
      floor: the noise of a recording in which nothing moves, in the method's own unit.
      thresholds: false alarms per minute of still video -> score above which there are so many.
    """

    floor: float
    thresholds: Mapping[float, float]

    def threshold(self, false_alarms: float) -> float:
        """By a line through the logarithms of what was measured, held at its ends."""
        rates = np.log(sorted(self.thresholds))
        scores = np.log([self.thresholds[rate] for rate in sorted(self.thresholds)])
        return float(np.exp(np.interp(np.log(false_alarms), rates, scores)))


CALIBRATIONS = {
    DMA: Calibration(0.01, {0.25: 44.2, 0.5: 14.2, 0.75: 8.7, 1.0: 5.3, 2.0: 2.9}),
    "difference": Calibration(0.05, {0.25: 1.5, 0.5: 1.4, 0.75: 1.3, 1.0: 1.0, 2.0: 0.5}),
    "farneback": Calibration(0.01, {0.25: 1.67, 0.5: 1.5, 0.75: 1.44, 1.0: 1.15, 2.0: 0.99}),
}

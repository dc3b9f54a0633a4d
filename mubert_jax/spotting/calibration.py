"""What counts as noise for each method, and which threshold gives how many false alarms.

Measured on synthetic people of seed 1, who are never tested on, in videos without an expression.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mubert_jax.spotting.comparing import CLASSICAL, DMA

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
    DMA: Calibration(0.01, {0.25: 30.0, 0.5: 20.0, 1.0: 10.0}),
    "difference": Calibration(0.1, {0.25: 3.0, 0.5: 2.0, 1.0: 1.0}),
    "farneback": Calibration(0.02, {0.25: 3.0, 0.5: 2.0, 1.0: 1.0}),
}
assert set(CALIBRATIONS) == {DMA, *CLASSICAL}

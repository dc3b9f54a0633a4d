"""What picking the epoch on the people who are tested would have reported, beside what is honest.

Many publications keep, for each subject left out, the epoch that recognizes that subject best. The
figure is no result: whoever it was picked for is whoever it is tested on.

optimism.csv holds a row per seed and score, both from 0 to 1:

    seed,score,honest,picked
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.recognition.metrics import score
from mubert_jax.recognition.predictions import Predictions

OPTIMISM_FILE = "optimism.csv"
COLUMNS = ("seed", "score", "honest", "picked")
SCORES = ("uf1", "uar")
# By how much a stored figure may differ from that of the predictions: both are of whole clips, and
# six digits are stored.
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Optimism:
    """The scores of S seeds, (S,) by the names in `SCORES`, after the last epoch and picked."""

    seeds: tuple[int, ...]
    honest: dict[str, np.ndarray]
    picked: dict[str, np.ndarray]

    @classmethod
    def of(cls, honest: Predictions, picked: Predictions) -> "Optimism":
        """Pools all folds, as `metrics.score` does."""
        return cls(honest.seeds, _scores(honest), _scores(picked))

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads."""
        table = pd.DataFrame(self._rows(), columns=list(COLUMNS))
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")

    def _rows(self) -> Iterator[tuple]:
        for i, seed in enumerate(self.seeds):
            for name in SCORES:
                yield seed, name, self.honest[name][i], self.picked[name][i]

    @classmethod
    def load(cls, path: Path, predictions: Predictions) -> "Optimism":
        """Reads a run's file.

        Args:
          predictions: Those of the run, of whose seeds and scores it has to be.

        Raises:
          UserError: it is no such table, or of other predictions.
        """
        try:
            table = pd.read_csv(path)
            rows = table.astype({"seed": int, "honest": float, "picked": float})
            found = rows.pivot(index="seed", columns="score", values=["honest", "picked"])
            kinds = {kind: {x: found[kind][x].to_numpy() for x in SCORES} for kind in COLUMNS[2:]}
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path}: no table of {', '.join(COLUMNS)} with {' and '.join(SCORES)} for every "
                "seed; delete it to go without"
            ) from error
        expected, known = _scores(predictions), tuple(found.index.tolist())
        if known != predictions.seeds or any(
            not np.allclose(kinds["honest"][name], expected[name], rtol=0, atol=ROUNDING)
            for name in SCORES
        ):
            raise UserError(
                f"{path}: its honest scores are not those of the predictions beside it; delete it, "
                "or run mubert finetune again with config.recognition.optimism"
            )
        return cls(known, **kinds)


def best_epoch(named_ExT: np.ndarray, label_T: np.ndarray) -> int:
    """The epoch after which most test clips of a fold were named right; the earliest of several."""
    return int(np.argmax(np.sum(named_ExT == label_T, axis=1)))


def _scores(predictions: Predictions) -> dict[str, np.ndarray]:
    runs = [predictions.of_seed(seed) for seed in predictions.seeds]
    found = [score(run.truth, run.prediction, run.classes) for run in runs]
    return {name: np.array([getattr(each, name) for each in found]) for name in SCORES}

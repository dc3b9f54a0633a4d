"""Finished folds of a cross-validation on the disk, and the plan that they belong to."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mubert_jax import renamed
from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.errors import UserError, readable

FOLDS = "folds"
PLAN_FILE = "finetune.json"
RESUME = "run the same command again, finished folds are kept"


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of one fold: `logits` of all pairs (P, C), `losses` (E,), weight `decay` ().

    `named` is the class that each of its T test clips was taken for after each epoch, (E, T), if
    that was watched; `learner` is the number of the learner that it chose, ().
    """

    logits: np.ndarray
    losses: np.ndarray
    decay: np.ndarray
    named: np.ndarray | None = None
    learner: np.ndarray | np.int64 = np.int64(0)


class KeptFolds:
    """The finished folds in a run's folder, which is created if it is new.

    Args:
      plan: Everything that determines a fold: names, and values as text.
      defaults: The values of names that the plan of an earlier release lacks.

    Raises:
      UserError: the folder holds another run; names what differs.
    """

    def __init__(
        self, workdir: Path, plan: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ):
        self._folder, path = workdir / FOLDS, workdir / PLAN_FILE
        if path.exists():
            _compare(plan, path, defaults or {})
        elif (workdir / "checkpoints").exists():
            raise UserError(f"{workdir} holds another run; take another --workdir")
        with writing_errors(workdir, RESUME):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(plan, indent=1) + "\n")

    def load(self, seed: int, fold: int) -> Fitted | None:
        """A finished fold by its number, or None; UserError if its file is damaged."""
        path = self._path(seed, fold)
        if not path.exists():
            return None
        try:
            with np.load(path) as saved:
                return Fitted(**saved)
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            if readable(error):
                raise
            raise UserError(f"{path} is damaged; delete it, and it is computed again") from error

    def save(self, seed: int, fold: int, fitted: Fitted) -> None:
        """Stores a finished fold.

        Raises:
          UserError: a value is not finite, or the disk is full.
        """
        if not (np.isfinite(fitted.logits).all() and np.isfinite(fitted.losses).all()):
            raise UserError(
                f"seed {seed}, fold {fold}: the loss is not finite; lower "
                "config.recognition.learning_rate, in another --workdir"
            )
        path = self._path(seed, fold)
        with writing_errors(path.parent, RESUME), replacing(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez(file, **{k: x for k, x in vars(fitted).items() if x is not None})

    def _path(self, seed: int, fold: int):
        return self._folder / f"seed{seed}-fold{fold:03d}.npz"


def _compare(plan: Mapping[str, str], path: Path, defaults: Mapping[str, str]):
    try:
        saved = renamed.plan(dict(json.loads(path.read_text())))
    except (OSError, ValueError, TypeError) as error:
        if readable(error):
            raise
        raise UserError(f"{path} is damaged; take another --workdir") from error
    saved = {key: defaults[key] for key in plan if key in defaults} | saved
    differing = sorted(key for key in {**plan, **saved} if plan.get(key) != saved.get(key))
    if differing:
        raise UserError(
            f"{path.parent} holds a fine-tuning of another {differing[0]} "
            f"({saved.get(differing[0])} there, {plan.get(differing[0])} now); take another "
            "--workdir"
        )

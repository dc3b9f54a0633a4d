"""The finished folds of a cross-validation on the disk: killed and started again, they are kept."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from mubert_jax import config as config_lib
from mubert_jax import renamed
from mubert_jax.config import Config
from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError, readable

FOLDS = "folds"
PLAN_FILE = "finetune.json"
RESUME = "run the same command again, finished folds are kept"
# What may change between two starts of one run.
FREE = ("recognition.published", "recognition.folds_at_once", "recognition.seeds")


@dataclass(frozen=True, eq=False)
class Fitted:
    """What one fold came to: `logits` of all pairs (P, C), `losses` (E,), its weight `decay`."""

    logits: np.ndarray
    losses: np.ndarray
    decay: np.ndarray


class KeptFolds:
    """The folds of a run's folder, which is begun if it is new.

    Raises:
      UserError: the folder holds another run: names what differs.
    """

    def __init__(self, workdir: Path, config: Config, params: dict, pairs: LabelledPairs):
        self._folder = workdir / FOLDS
        plan, path = _plan(config, params, pairs), workdir / PLAN_FILE
        if path.exists():
            _compare(plan, path)
        elif (workdir / "checkpoints").exists():
            raise UserError(f"{workdir} holds another run; take another --workdir")
        with writing_errors(workdir, RESUME):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(plan, indent=1) + "\n")

    def load(self, seed: int, fold: int) -> Fitted | None:
        """A finished fold by its number; UserError if its file is damaged."""
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

    def save(self, seed: int, fold: int, fitted: Fitted):
        """Raises UserError: a value is not finite, or the disk is full."""
        if not (np.isfinite(fitted.logits).all() and np.isfinite(fitted.losses).all()):
            raise UserError(
                f"seed {seed}, fold {fold}: the loss is not finite; lower "
                "config.recognition.learning_rate, in another --workdir"
            )
        path = self._path(seed, fold)
        with writing_errors(path.parent, RESUME), replacing(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez(file, **vars(fitted))

    def _path(self, seed, fold):
        return self._folder / f"seed{seed}-fold{fold:03d}.npz"


def _plan(config: Config, params: dict, pairs: LabelledPairs) -> dict[str, str]:
    """All that shapes a fold: keys of the config, and a digest of pairs and weights."""
    names = (pairs.classes, pairs.dataset, pairs.subject, pairs.clip)
    digest = hashlib.sha256(json.dumps([list(map(str, column)) for column in names]).encode())
    for array in (pairs.label, pairs.onset, pairs.apex, *jax.tree.leaves(params)):
        digest.update(np.ascontiguousarray(array).tobytes())
    plan = {
        key: repr(value)
        for key, value in config_lib.flatten(config).items()
        if key.startswith(("recognition.", "model.")) and key not in FREE
    }
    return plan | {"pairs and pretrained weights": digest.hexdigest()[:16]}


def _compare(plan: dict[str, str], path: Path):
    try:
        saved = renamed.plan(dict(json.loads(path.read_text())))
    except (OSError, ValueError, TypeError) as error:
        if readable(error):
            raise
        raise UserError(f"{path} is damaged; take another --workdir") from error
    differing = sorted(key for key in plan | saved if plan.get(key) != saved.get(key))
    if differing:
        raise UserError(
            f"{path.parent} holds a fine-tuning of another {differing[0]} "
            f"({saved.get(differing[0])} there, {plan.get(differing[0])} now); take another "
            "--workdir"
        )

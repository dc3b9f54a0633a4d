"""`mubert bench oracle`: what the same architecture reaches when it is told the truth."""

import dataclasses
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from mubert_jax import losses
from mubert_jax.config import PerceptionConfig, POIConfig
from mubert_jax.data.alignment import aligned
from mubert_jax.models.micron_bert import side_by_side
from mubert_jax.models.poi import interest
from mubert_jax.perception.benchmark import (
    Row,
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_reader,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.scores import moved_patches
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.nuisances import CONDITIONS, known_conditions
from mubert_jax.training.objective import Objective
from mubert_jax.training.state import create_state
from mubert_jax.training.step import make_step
from mubert_jax.training.views import normalise

# The map and what it is multiplied by -> how it is scored.
SCORES = {("DMA", ""): "auc_in_face", ("DMA", "POI"): "auc"}
BATCH = 16
LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class TruePairs:
    """Pairs of training people: `onset`, `apex` (P, H, W, 3) uint8; the rest (P, N) boolean."""

    onset: np.ndarray
    apex: np.ndarray
    moved: np.ndarray
    still: np.ndarray
    face: np.ndarray

    def batches(self, seed: int) -> Iterator["TruePairs"]:
        """Random ones, without end."""
        random = np.random.default_rng(seed)
        columns = [getattr(self, field.name) for field in dataclasses.fields(self)]
        while True:
            rows = random.integers(0, len(self.onset), BATCH)
            yield TruePairs(*(column[rows] for column in columns))


def bench_oracle(
    trained: Trained,
    conditions: list[str],
    subjects: int,
    pairs: int,
    steps: int,
    console: Console,
) -> list[dict]:
    """Trains a copy of a model on the truth, and scores both on the test subjects.

    Args:
      trained: the model; its architecture, and its weights to start from.
      conditions: names of `nuisances.CONDITIONS`; trained on in turn, tested each.
      subjects: how many test subjects.
      pairs: how many pairs of other people to train on, each of another clip.
      steps: of training, `BATCH` pairs each.
      console: shows the table.

    Returns:
      One row a (condition, map): the model's score, the copy's after half the steps, the oracle's,
      and the share of the way from chance to it.

    Raises:
      UserError: unknown condition, too few subjects, a model without DMA.
    """
    conditions = known_conditions(conditions)
    enough_subjects(subjects)
    model, align = trained.config.model, trained.config.perception.align
    console.print(f"Drawing {pairs} pairs, then {steps} steps", highlight=False)
    truth = true_pairs(conditions, pairs, model.image_size, model.patch_size, align)
    halfway, told = train_on_truth(trained, truth, steps)
    # The copy learns m × S·N, so that is how it is read.
    as_learnt = PerceptionConfig(poi="attention")
    readers = {
        who: learned_reader(Perceiver(trained.model, params, reading, batch=1))
        for who, params, reading in (
            ("own", trained.params, trained.config.perception),
            ("halfway", halfway, as_learnt),
            ("oracle", told, as_learnt),
        )
    }
    rows, shown = [], []
    for condition in conditions:
        tested = list(benchmark_pairs(condition, subjects, model.image_size, model.patch_size))
        found = [evaluate(read, tested, (align,)) for read in readers.values()]
        for (method, times), score in SCORES.items():
            row = Row(method, align, times)
            own, half, oracle = (evaluation[row]["all"][score] for evaluation in found)
            name = f"{method} × {times}" if times else method
            share = share_of_the_way(own.value, oracle.value)
            rows.append(
                {
                    "condition": condition,
                    "map": name,
                    "score": score,
                    "value": own.value,
                    "halfway": half.value,
                    "oracle": oracle.value,
                    "share": share,
                }
            )
            shown.append((condition, name, *map(str, (own, half, oracle)), f"{share:.2f}"))
    console.print(_table(shown))
    return rows


def share_of_the_way(reached: float, oracle: float) -> float:
    """From chance, an AUC of 0.5, to the oracle's: 0 at chance, 1 there."""
    return (reached - 0.5) / (oracle - 0.5)


def true_pairs(conditions, count: int, size: int, patch_size: int, align: str) -> TruePairs:
    """Onset and registered apex of the first `count` training people, a clip each."""

    def draw(subject, condition):
        clip = SyntheticClip(subject, 0, 0, CONDITIONS[condition], size)
        onset, apex = (clip.frame(number) for number in (clip.course.onset, clip.course.apex))
        truth = clip.truth(clip.course.onset, clip.course.apex, patch_size)
        moved, still = moved_patches(truth)
        masks = (mask.reshape(-1) for mask in (moved, still, truth.face > 0.5))
        return onset, aligned(align, apex, onset), *masks

    with ThreadPoolExecutor() as pool:
        drawn = list(pool.map(draw, range(count), itertools.cycle(conditions)))
    return TruePairs(*(np.stack(column) for column in zip(*drawn, strict=True)))


class ToldTheTruth(Objective):
    """m learns what moved inside the face, m × S·N what moved over the frame."""

    def __init__(self, trained: Trained):
        self.model, self.params = trained.model, trained.params

    def init(self, key):
        return self.params

    def views(self, key, batch):
        frames = side_by_side(normalise(batch["onset"]), normalise(batch["apex"]))
        return batch | {"frames": frames}

    def loss(self, params, extra, views, progress):
        variables = {"params": params}
        encoded = self.model.apply(variables, views["frames"], method="encode")
        onset, apex = encoded.split(2)
        found = self.model.apply(variables, onset, apex, method="difference")
        moved, still, face = views["moved"], views["still"], views["face"]
        weighed = found * interest(apex.poi_scores, POIConfig(scale="mean_one"))
        inside = losses.warp(found, moved & face, still & face)
        return inside + losses.warp(weighed, moved, still), ({}, {})


def train_on_truth(trained: Trained, truth: TruePairs, steps: int) -> tuple[dict, dict]:
    """The weights after half of `steps` and after all."""
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))
    objective, key = ToldTheTruth(trained), jax.random.key(0)
    step = jax.jit(make_step(objective, tx, steps, key))
    state = jax.device_put(create_state(objective, tx, key))
    for number, batch in enumerate(itertools.islice(truth.batches(seed=0), steps)):
        if number == steps // 2:
            halfway = state.params
        state, _ = step(state, vars(batch))
    return halfway, state.params


def _table(rows) -> Table:
    table = Table(
        title="mubert bench oracle: AUC [95 % interval over subjects]",
        caption="oracle: the same architecture, told the truth; halfway: after half the steps",
    )
    for name in ("condition", "map", "as trained", "halfway", "oracle", "share of the way"):
        table.add_column(name, justify="left" if name in ("condition", "map") else "right")
    for row in rows:
        table.add_row(*row)
    return table

"""`mubert bench oracle`: the scores that the same architecture reaches when told the truth."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from mubert_jax import losses
from mubert_jax.config import PerceptionConfig, POIConfig
from mubert_jax.data.alignment import aligned
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import side_by_side
from mubert_jax.models.poi import interest
from mubert_jax.perception.benchmark import (
    Row,
    as_registered,
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_reader,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.perception.scores import moved_patches
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS, known_conditions
from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.state import create_state
from mubert_jax.training.step import make_step

# The score of each map, by the map and what it is multiplied by.
SCORES = {("DMA", ""): "auc_in_face", ("DMA", "POI"): "auc"}
# As in configs/synthetic.py.
BATCH = 16
LEARNING_RATE = 1e-3
# Global gradient norm above which gradients are scaled down: less is steadier and slower.
CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class TruePairs:
    """Pairs of training people: `onset`, `apex` (P, H, W, 3) uint8; the others (P, N) boolean."""

    onset: np.ndarray
    apex: np.ndarray
    moved: np.ndarray
    still: np.ndarray
    face: np.ndarray

    def batches(self, seed: int) -> Iterator["TruePairs"]:
        """Endless random batches of `BATCH` pairs."""
        random = np.random.default_rng(seed)
        columns = [getattr(self, field.name) for field in dataclasses.fields(self)]
        while True:
            rows = random.integers(0, len(self.onset), BATCH)
            yield TruePairs(*(column[rows] for column in columns))


def bench_oracle(
    trained: Trained,
    conditions: Sequence[str],
    subjects: int,
    pairs: int,
    steps: int,
    console: Console,
) -> list[dict[str, Any]]:
    """Trains a copy of a model on the truth, and scores both on the test subjects.

    Args:
      trained: the model, whose weights the copy starts from.
      conditions: names of `conditions.CONDITIONS`: the copy trains on them in turn, and each is
        tested.
      subjects: the number of test subjects.
      pairs: the number of pairs to train on, each of another clip, of other people.
      steps: the number of training steps, `BATCH` pairs each.
      console: where the table is shown.

    Returns:
      One row per (condition, map): the scores of the model, of the copy after half the steps and
      of the oracle, and the share of the way from chance to the oracle.

    Raises:
      UserError: unknown condition, too few subjects, a model without DMA.
    """
    conditions = known_conditions(conditions)
    enough_subjects(subjects)
    model, align = trained.config.model, trained.config.perception.align
    console.print(f"Drawing {pairs} pairs, then {steps} steps", highlight=False)
    by_interest = ByInterest(trained.model, trained.params)
    truth = true_pairs(conditions, pairs, model.image_size, model.patch_size, align, by_interest)
    halfway, told = train_on_truth(trained, truth, steps)
    # The copy learns m × S·N, so it is read in the same way.
    as_learnt = PerceptionConfig(align="none", poi="attention")
    readers = {
        who: learned_reader(Perceiver(trained.model, params, reading, batch=1), by_interest)
        for who, params, reading in (
            ("own", trained.params, as_registered(trained.config.perception)),
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
    """How far an AUC is from chance, 0.5, to the oracle's: 0 at chance, 1 at the oracle's."""
    return (reached - 0.5) / (oracle - 0.5)


def true_pairs(
    conditions: Iterable[str],
    count: int,
    size: int,
    patch_size: int,
    align: str,
    by_interest: ByInterest | None = None,
) -> TruePairs:
    """Onset and registered apex of the first `count` training people, one clip of each."""

    def draw(subject: int, condition: str) -> tuple[np.ndarray, ...]:
        clip = SyntheticClip(subject, 0, 0, CONDITIONS[condition], size)
        onset, apex = (clip.frame(number) for number in (clip.course.onset, clip.course.apex))
        truth = clip.truth(clip.course.onset, clip.course.apex, patch_size)
        moved, still = moved_patches(truth)
        masks = (mask.reshape(-1) for mask in (moved, still, truth.face > 0.5))
        return onset, apex if align == "poi" else aligned(align, apex, onset), *masks

    with ThreadPoolExecutor() as pool:
        drawn = list(pool.map(draw, range(count), itertools.cycle(conditions)))
    onset, apex, *masks = (np.stack(column) for column in zip(*drawn, strict=True))
    if align == "poi":
        if by_interest is None:
            raise ValueError("a registration by POI needs a model")
        apex = by_interest(onset, apex)
    return TruePairs(onset, apex, *masks)


class ToldTheTruth(Objective):
    """Supervised training: m learns what moved inside the face, m × S·N what moved anywhere."""

    def __init__(self, trained: Trained):
        self.model, self.params = trained.model, trained.params

    def init(self, key: jax.Array) -> Params:
        return self.params

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        frames = side_by_side(normalise(batch["onset"]), normalise(batch["apex"]))
        return batch | {"frames": frames}

    def loss(
        self, params: Params, extra: dict, views: Mapping[str, jax.Array], progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        model = self.model.bind({"params": params})
        onset, apex = model.encode(views["frames"]).split(2)
        found = model.difference(onset, apex)
        moved, still, face = views["moved"], views["still"], views["face"]
        weighed = found * interest(apex.poi_scores, POIConfig(scale="mean_one"))
        log_odds = model.dma.log_odds
        inside = losses.warp(found, moved & face, still & face, log_odds)
        return inside + losses.warp(weighed, moved, still, log_odds), ({}, {})


def train_on_truth(trained: Trained, truth: TruePairs, steps: int) -> tuple[Params, Params]:
    """Returns the weights after half of `steps`, rounded down, and after all of them."""
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, steps)
    tx = optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adamw(schedule))
    objective, key = ToldTheTruth(trained), jax.random.key(0)
    step = jax.jit(make_step(objective, tx, steps, key))
    state = jax.device_put(create_state(objective, tx, key))
    halfway = state.params
    for number, batch in enumerate(itertools.islice(truth.batches(seed=0), steps)):
        if number == steps // 2:
            halfway = state.params
        state, _ = step(state, vars(batch))
    return halfway, state.params


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(
        title="mubert bench oracle: AUC [95 % interval over subjects]",
        caption="oracle: the same architecture, told the truth; halfway: after half the steps",
    )
    for name in ("condition", "map", "as trained", "halfway", "oracle", "share of the way"):
        table.add_column(name, justify="left" if name in ("condition", "map") else "right")
    for row in rows:
        table.add_row(*row)
    return table

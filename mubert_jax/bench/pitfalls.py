"""`mubert bench pitfalls`: what leaks and lenient scores do to a figure of recognition.

The readings that are wrong exist in this file alone. Each is also taken with labels that are drawn
anew among the clips: whatever is then above chance has seen what it is tested on.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax.config import Config, ModelConfig, RecognitionConfig, RecognizerConfig
from mubert_jax.data.flow_set import FlowSet
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import SIDE
from mubert_jax.perception.scores import paired_difference, resampled
from mubert_jax.recognition.cross_validation import CrossValidated, cross_validate
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.kept_folds import KeptFolds
from mubert_jax.recognition.metrics import score
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.networks.ridge import Ridge

# The weight decays of configs/recognition/ridge.py, among which each fold chooses for itself.
DECAYS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# STSTNet's published rate, 5e-5, hardly leaves its start on drawn movements.
LEARNING_RATE = 2e-3
# Copies per clip, how far they are moved in cells, and their noise as a share of the deviation: as
# much as papers vary a clip.
COPIES, SHIFT, NOISE = 3, 1, 0.05
FEWEST = 5
TRUE, SHUFFLED = "as they are", "shuffled"

# Row numbers of clips, in any order and number -> a figure of what these clips were taken for.
Reading = Callable[[np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Pitfall:
    """One way of being wrong: what is read honestly and otherwise, of the same clips."""

    wrong: str
    network: str
    score: str
    honest: Reading
    leaky: Reading


class Clips(LabelledClips):
    """Labelled clips with their maps, (P, 28, 28, 3), as `FlowSet` has them."""

    def __init__(self, flow: np.ndarray, *columns: Any, classes: Sequence[str]):
        label, dataset, subject, clip = map(list, columns)
        super().__init__(Path(), classes, label, dataset, subject, clip)
        self.flow = flow


class NormalisedOverAll(Ridge):
    """Ridge regression whose features are standardised by all clips, those of the test, too."""

    def moments(self, means_PxF: np.ndarray, train_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return super().moments(means_PxF, np.ones_like(train_P))


def bench_pitfalls(data: Path, epochs: int, console: Console) -> list[dict[str, Any]]:
    """Measures every pitfall on a flow set, with its labels and with shuffled ones.

    Args:
      data: a folder that `mubert prepare flow` made.
      epochs: of STSTNet, among which one is picked.

    Returns:
      One row per pitfall and labels: the `honest` and the `leaky` figure and their `difference`,
      each with its `low` and `high`, 95 % over people.

    Raises:
      UserError: it is no flow set, has maps of another size, or has too few people.
    """
    found = FlowSet(data)
    if (side := found.flow.shape[1]) != SIDE:
        raise UserError(
            f"{data} holds maps of {side}x{side} cells; the networks read {SIDE}x{SIDE}"
        )
    if (people := len(set(found.subject))) < FEWEST:
        raise UserError(f"{data} has {people} people; {FEWEST} are needed")
    normalise = "pixels" if found.info.normalise == "pixels" else "per-channel"
    shuffled = np.random.default_rng(0).permutation(found.label)
    rows = []
    for labels, label in ((TRUE, found.label), (SHUFFLED, shuffled)):
        columns = label, found.dataset, found.subject, found.clip
        clips = Clips(found.flow, *columns, classes=found.classes)
        of_labels = []
        for pitfall in _pitfalls(clips, normalise, epochs):
            console.print(f"labels {labels}: {pitfall.wrong}", highlight=False)
            of_labels.append({"labels": labels, **_row(pitfall, clips.subject)})
        console.print(_table(labels, of_labels))
        rows += of_labels
    return rows


def _pitfalls(clips: Clips, normalise: str, epochs: int) -> Iterator[Pitfall]:
    options = {"normalise": normalise}
    of_ridge = RecognitionConfig(network="ridge", options=options, weight_decay=DECAYS)
    loso = _crossed(clips, of_ridge, "loso")
    uf1, alone = _reading(clips, loso, "uf1"), "ridge, loso"
    yield Pitfall("F1 averaged over folds", alone, "UF1", uf1, averaged(clips, loso))
    yield Pitfall(
        "micro F1, which is accuracy", alone, "UF1", uf1, _reading(clips, loso, "accuracy")
    )
    yield Pitfall(
        "mean precision reported as UAR",
        alone,
        "UAR",
        _reading(clips, loso, "uar"),
        _reading(clips, loso, "mean_precision"),
    )
    tuned = max(
        (_crossed(clips, _with_decay(of_ridge, decay), "loso") for decay in DECAYS),
        key=lambda named: _reading(clips, named, "uf1")(np.arange(len(clips))),
    )
    yield Pitfall(
        "weight decay chosen on the test people", alone, "UF1", uf1, _reading(clips, tuned, "uf1")
    )
    five = _crossed(clips, of_ridge, "5-fold")
    over_all = _crossed(clips, of_ridge, "5-fold", NormalisedOverAll)
    yield Pitfall(
        "normalised by all clips, test clips too",
        "ridge, 5-fold",
        "UF1",
        _reading(clips, five, "uf1"),
        _reading(clips, over_all, "uf1"),
    )
    by_clip = _crossed(everybody_alone(clips), of_ridge, "5-fold")
    yield Pitfall(
        "random folds of clips, people in several",
        "ridge, 5-fold",
        "UF1",
        _reading(clips, five, "uf1"),
        _reading(clips, by_clip, "uf1"),
    )
    more = with_copies(clips)
    by_person, by_copy = (
        _crossed(each, of_ridge, "5-fold")[: len(clips)] for each in (more, everybody_alone(more))
    )
    yield Pitfall(
        "augmented copies of a clip in several folds",
        f"ridge, 5-fold, {COPIES} copies",
        "UF1",
        _reading(clips, by_person, "uf1"),
        _reading(clips, by_copy, "uf1"),
    )
    of_ststnet = RecognitionConfig(
        network="ststnet",
        options=options,
        epochs=epochs,
        learning_rate=LEARNING_RATE,
        weight_decay=(0.0,),
        optimism=True,
    )
    found = _cross_validated(clips, of_ststnet, "loso")
    assert found.picked is not None
    yield Pitfall(
        "epoch picked on the test subject",
        f"STSTNet, loso, {epochs} epochs",
        "UF1",
        _reading(clips, found.predictions.prediction, "uf1"),
        _reading(clips, found.picked.prediction, "uf1"),
    )


def _with_decay(config: RecognitionConfig, decay: float) -> RecognitionConfig:
    return dataclasses.replace(config, weight_decay=(decay,))


def everybody_alone(clips: Clips) -> Clips:
    """The clips, each as if it were all that there is of a person."""
    alone = [f"{who} {clip}" for who, clip in zip(clips.subject, clips.clip, strict=True)]
    columns = clips.label, clips.dataset, [f"clip{i}" for i in range(len(alone))], alone
    return Clips(clips.flow, *columns, classes=clips.classes)


def with_copies(clips: Clips) -> Clips:
    """The clips, then `COPIES` of each: moved by up to `SHIFT` cells, with noise."""
    random, flows, times = np.random.default_rng(0), [clips.flow], 1 + COPIES
    noise = NOISE * clips.flow.std((0, 1, 2))
    for _ in range(COPIES):
        moves = random.integers(-SHIFT, SHIFT + 1, (len(clips), 2))
        moved = [np.roll(x, by, (0, 1)) for x, by in zip(clips.flow, moves, strict=True)]
        flows.append(np.stack(moved) + noise * random.normal(size=clips.flow.shape))
    names = [f"{clip} copy {copy}" for copy in range(times) for clip in clips.clip]
    columns = np.tile(clips.label, times), clips.dataset * times, clips.subject * times, names
    return Clips(np.concatenate(flows).astype(np.float32), *columns, classes=clips.classes)


def _crossed(
    clips: Clips,
    recognition: RecognitionConfig,
    protocol: str,
    make: Callable[[Config], Network] = make_network,
) -> np.ndarray:
    """What every clip was taken for, (P,)."""
    return _cross_validated(clips, recognition, protocol, make).predictions.prediction


def _cross_validated(
    clips: Clips,
    recognition: RecognitionConfig,
    protocol: str,
    make: Callable[[Config], Network] = make_network,
) -> CrossValidated:
    model = ModelConfig(recognizer=RecognizerConfig(classes=len(clips.classes)))
    network = make(dataclasses.replace(Config(), model=model, recognition=recognition))
    inputs = Inputs(clips, None, recognition)
    with TemporaryDirectory() as folder:
        return cross_validate(
            lambda seed: network.learner(inputs, seed),
            clips,
            protocol,
            (0,),
            recognition.weight_decay,
            KeptFolds(Path(folder), {}),
            Console(quiet=True),
            network.folds_at_once,
            recognition.optimism,
        )


def _reading(clips: Clips, named_P: np.ndarray, name: str) -> Reading:
    """A field of `metrics.Scores`, of all clips at once."""
    return lambda rows: getattr(score(clips.label[rows], named_P[rows], clips.classes), name)


def averaged(clips: Clips, named_P: np.ndarray) -> Reading:
    """The mean over people of UF1 over the classes that a person shows."""
    people, of_clip, counts = np.unique(clips.subject, return_inverse=True, return_counts=True)
    own = [np.flatnonzero(of_clip == person) for person in range(len(people))]
    uf1 = np.array([_reading(clips, named_P, "uf1")(rows) for rows in own])
    return lambda rows: float(np.average(uf1[of_clip[rows]], weights=1 / counts[of_clip[rows]]))


def _row(pitfall: Pitfall, people: Sequence[str]) -> dict[str, Any]:
    who = np.array(people)
    honest, leaky = (resampled(each, who) for each in (pitfall.honest, pitfall.leaky))
    row: dict[str, Any] = {name: getattr(pitfall, name) for name in ("wrong", "network", "score")}
    more = paired_difference(leaky, honest)
    for name, estimate in (("honest", honest), ("leaky", leaky), ("difference", more)):
        row |= {name: estimate.value, f"{name} low": estimate.low, f"{name} high": estimate.high}
    return row


def _table(labels: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title=f"labels {labels}",
        caption="[95 % over people]; differences are paired over people",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("what is wrong", overflow="fold")
    table.add_column("score")
    for name in ("honest", "leaky", "difference"):
        table.add_column(name, justify="right", min_width=12)
    for row in rows:
        cells = (_cell(row, name) for name in ("honest", "leaky", "difference"))
        table.add_row(f"{row['wrong']}\n({row['network']})", row["score"], *cells)
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    form = "+.2f" if name == "difference" else ".2f"
    value, low, high = (f"{row[name + end]:{form}}" for end in ("", " low", " high"))
    return rf"{value}{chr(10)}\[{low}, {high}]"

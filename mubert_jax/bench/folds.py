"""`mubert bench folds`: all folds in one program, beside one after the other."""

import dataclasses
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_parts import FoldsPart
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import FRAMES, Inputs
from mubert_jax.recognition.network import train
from mubert_jax.recognition.networks import make_network

# The size of CASME II: 246 clips of 26 subjects, in 5 classes.
CLIPS, FOLDS, CLASSES = 246, 26, 5
# The size of MEGC2019, which light networks are compared on, and how many of its folds are timed.
MEGC_CLIPS, MEGC_FOLDS, MEGC_CLASSES, TIMED_FOLDS = 442, 68, 3, 8
# Enough that an epoch of all folds is not hidden by what is done once.
MEGC_EPOCHS = 10
# Copies of a backbone that are stacked if the config does not say; more would take more memory.
FULL_FOLDS = 4
# One of those that `recognition.weight_decay` tries; it has no influence on the time.
WEIGHT_DECAY = 0.01


def bench_folds(
    config: Annotated[Config, FoldsPart], steps: int, console: Console
) -> list[dict[str, Any]]:
    """Times the folds of a data set of `CLIPS` noise pairs, without compilation.

    With a frozen backbone, heads on features of the config's number of patches. In full, an epoch
    of `steps` steps over `recognition.folds_at_once` folds, or `FULL_FOLDS`. Without one, STSTNet:
    an epoch of `TIMED_FOLDS` folds of `MEGC_CLIPS` clips, whose windows all folds share; one after
    the other its convolutions are computed per fold.

    Returns one dict per backbone: seconds one after the other, seconds stacked, their ratio.
    """
    rows = [_frozen(config), _full(config, steps, console), _ststnet(config, console)]
    for row in rows:
        row["ratio"] = row["one by one, s"] / row["stacked, s"]
    return rows


def _frozen(config: Config) -> dict[str, Any]:
    random = np.random.default_rng(0)
    features = random.normal(size=(1 + config.recognition.copies, CLIPS, config.model.num_patches))
    label, train = random.integers(0, CLASSES, CLIPS), _train(FOLDS, CLIPS)
    decays = np.full(FOLDS, config.recognition.weight_decay[0])

    def run(stacked: bool):
        return linear_probe.fit(
            features, label, train, decays, CLASSES, config.recognition, stacked
        )

    return {
        "backbone": "frozen",
        "folds": FOLDS,
        "one by one, s": _seconds(lambda: run(False)),
        "stacked, s": _seconds(lambda: run(True)),
    }


def _full(config: Config, steps: int, console: Console) -> dict[str, Any]:
    recognition = config.recognition
    count, clips = recognition.folds_at_once or FULL_FOLDS, steps * recognition.batch_size
    recognizer = dataclasses.replace(config.model.recognizer, classes=CLASSES)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, recognizer=recognizer),
        loss=dataclasses.replace(config.loss, agreement="none"),
        recognition=dataclasses.replace(recognition, network="micron_bert", epochs=2),
    )
    model, random = build_model(config), np.random.default_rng(0)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    network = make_network(config, Backbone(model, params))
    side = config.model.image_size
    read = {FRAMES: random.integers(0, 255, (1, clips, 2, side, side, 3), np.uint8)}
    example = {FRAMES: jnp.asarray(read[FRAMES][0, :1])}
    label, marks = random.integers(0, CLASSES, clips), _train(count, clips)

    def run(folds: np.ndarray) -> float:
        """Seconds of the second epoch: the first one compiles."""
        console.print(f"full: {len(folds)} fold(s) at a time", highlight=False)
        keys = jax.random.split(jax.random.key(config.training.seed), len(folds))
        ends = []
        train(
            network,
            jax.vmap(lambda key: network.init(key, example))(keys),
            read,
            label,
            folds,
            marks[folds],
            np.full(len(folds), WEIGHT_DECAY),
            0,
            after_epoch=lambda *_: ends.append(time.perf_counter()),
        )
        return ends[1] - ends[0]

    return {
        "backbone": "full",
        "folds": count,
        "one by one, s": count * run(np.arange(1)),
        "stacked, s": run(np.arange(count)),
    }


def _ststnet(config: Config, console: Console) -> dict[str, Any]:
    recognition = dataclasses.replace(
        config.recognition,
        network="ststnet",
        epochs=MEGC_EPOCHS,
        batch_size=MEGC_CLIPS,
        weight_decay=(0.0,),
    )
    recognizer = dataclasses.replace(config.model.recognizer, classes=MEGC_CLASSES)
    model = dataclasses.replace(config.model, recognizer=recognizer)
    network = make_network(dataclasses.replace(config, model=model, recognition=recognition))
    random = np.random.default_rng(0)
    clips = SimpleNamespace(
        label=random.integers(0, MEGC_CLASSES, MEGC_CLIPS),
        flow=random.uniform(0, 255, (MEGC_CLIPS, 28, 28, 3)).astype(np.float32),
    )
    inputs, marks = Inputs(clips, None, recognition), _train(MEGC_FOLDS, MEGC_CLIPS)
    folds, decay, ends = np.arange(TIMED_FOLDS), np.zeros(TIMED_FOLDS), []
    console.print(f"STSTNet: {TIMED_FOLDS} folds at a time, then one", highlight=False)
    learn = network.learner(inputs, 0)
    together = _seconds(lambda: learn(folds, marks[folds], decay)[:2])
    one = folds[:1], marks[:1]
    train(
        network,
        network.start(inputs, 0, *one),
        network.read(inputs, 0),
        inputs.label,
        *one,
        decay[:1],
        0,
        after_epoch=lambda *_: ends.append(time.perf_counter()),
    )
    return {
        "backbone": "none (STSTNet)",
        "folds": TIMED_FOLDS,
        "one by one, s": TIMED_FOLDS * (ends[-1] - ends[0]) / (len(ends) - 1),
        "stacked, s": together / recognition.epochs,
    }


def _train(folds: int, clips: int) -> np.ndarray:
    """Which clips each fold trains on, (folds, clips)."""
    return np.stack([np.arange(clips) % folds != fold for fold in range(folds)])


def _seconds(run: Callable[[], tuple[Any, np.ndarray]]) -> float:
    """Seconds of the second call: the first one compiles."""
    run()
    start = time.perf_counter()
    jax.block_until_ready(run()[0])
    return time.perf_counter() - start

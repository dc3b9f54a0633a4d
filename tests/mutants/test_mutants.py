"""Is there a test that fails when the code is wrong?

    bash launch/test.sh -m mutants                            40 mutants of every module
    MUTANTS=all bash launch/test.sh -m mutants -k losses      all of one module
    MUTANTS_SEED=7 bash launch/test.sh -m mutants             40 others

At most 5 % of a module's mutants may survive, those in `EQUIVALENT` aside.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("MUTANTS_SEED", 0))
MOST = os.environ.get("MUTANTS", "40")
SURVIVE = 0.05
# How much longer than the sound module's a changed module's tests may take.
SLOWER = 5

# Module -> the tests that look at it.
MODULES = {
    "losses": "test_losses.py",
    "models/attention": "models/test_micron_bert.py",
    "models/displacement": "models/test_displacement.py",
    "models/dma": "models/test_dma.py",
    "models/micron_bert": "models/test_micron_bert.py",
    "models/poi": "models/test_micron_bert.py",
    "models/projector": "test_losses.py",
    "models/recognizer": "models/test_micron_bert.py",
    "models/swapping": "models/test_swapping.py",
    "models/vit": "models/test_micron_bert.py",
    "training/movements": "training/test_movements.py",
    "training/sharding": "training/test_sharding.py",
    "training/step": "training/test_step.py",
    "training/views": "training/test_augmentation.py",
    "perception/focus": "perception/test_focus.py",
    "perception/maps": "perception/test_maps.py",
    "perception/scores": "perception/test_scores.py",
    "recognition/crossval": "recognition/test_folds.py",
    "recognition/heads": "recognition/test_linear_heads.py",
    "recognition/metrics": "recognition/test_uf1_uar.py",
    "recognition/protocols": "recognition/test_protocols.py",
    "data/alignment": "data/test_alignment.py",
    "data/index": "data/test_index.py",
    "data/order": "data/test_order.py",
}

TWO_AXES = "the arrays have two axes, the last is the second"
AS_LONG = "what goes side by side is as long as the other"
LIGHT = "the gradients of the light are the same from whatever point they are counted"
# Module -> changed lines that change nothing anybody can see, and why.
EQUIVALENT: dict[str, dict[str, str]] = {
    "perception/focus": {
        "side = round(scores_BxN.shape[+1] ** 0.5)": TWO_AXES,
        "share_BxN = smooth_BxN / jnp.max(smooth_BxN, axis=+1, keepdims=True)": TWO_AXES,
        "return looked_at_BxN / jnp.mean(looked_at_BxN, axis=+1, keepdims=True)": TWO_AXES,
        "order = jnp.argsort(values_BxN, axis=+1)": TWO_AXES,
        "weight_BxN = jnp.cumsum(jnp.take_along_axis(weights_BxN, order, axis=+1), axis=-1)": (
            TWO_AXES
        ),
        "weight_BxN = jnp.cumsum(jnp.take_along_axis(weights_BxN, order, axis=-1), axis=+1)": (
            TWO_AXES
        ),
        "half = jnp.argmax(weight_BxN >= weight_BxN[:, -1:] / 2, axis=+1, keepdims=True)": (
            TWO_AXES
        ),
        "return jnp.take_along_axis(jnp.take_along_axis(values_BxN, order, "
        "axis=+1), half, axis=-1)": TWO_AXES,
        "return jnp.take_along_axis(jnp.take_along_axis(values_BxN, order, "
        "axis=-1), half, axis=+1)": TWO_AXES,
    },
    "perception/scores": {
        "below_PxP = np.sign(values[:, None] - values) * 2": (
            "a correlation is the same whatever ranks are measured in"
        ),
        "below_PxP = np.sign(values[:, None] - values) / 1": (
            "a correlation is the same whatever ranks are measured in"
        ),
        "below_PxP = np.sign(values[:, None] - values) / 3": (
            "a correlation is the same whatever ranks are measured in"
        ),
    },
    "perception/maps": {
        "@dataclasses.dataclass(frozen=False)": "nothing assigns to maps",
        "batch: int = 7,": "how many pairs are compared at a time, not what is found",
        "batch: int = 9,": "how many pairs are compared at a time, not what is found",
        "np.concatenate(parts).reshape(*grid, *parts[ -1].shape[2:])": (
            "all parts have the same axes"
        ),
        "for parts in zip(*read, strict=False)": "every batch gives the same maps",
    },
    "recognition/heads": {
        "stacked: bool = False,": "in one program or one after the other: the same heads",
        "if not stacked:": "in one program or one after the other: the same heads",
        "found = [_fit_one(*shared, *row, classes, config) for row in "
        "zip(*own, strict=False)]": AS_LONG,
        "return kernel_FxC, bias_C + mean_F @ kernel_FxC": (
            "the bias costs nothing, so it makes up for whatever is added to it"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) - 1e-6": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) + -0.999999": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) + 1.000001": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
    },
    "recognition/metrics": {
        "@dataclass(frozen=False, eq=False)": "nothing assigns to scores",
        "@dataclass(frozen=True, eq=True)": (
            "nothing compares scores: their arrays have no one truth value"
        ),
        "absent=tuple(name for name, some in zip(classes, there, strict=False) if not some),": (
            AS_LONG
        ),
        "return score(*codes.reshape(2, - 2), names.tolist()).uf1": (
            "NumPy takes any negative number for the length that is left"
        ),
        "f1 = there * 2 * hits / np.maximum(counts + named, 0)": (
            "a class of no clip is NaN already"
        ),
        "return f1, there * hits / np.maximum(counts, 0), hits.sum(-1) / counts.sum(-1)": (
            "a class of no clip is NaN already"
        ),
        "f1 = there * 2 * hits / np.maximum(counts + named, 2)": (
            "with a sum of 1 there is no hit to divide"
        ),
    },
    "recognition/protocols": {
        "for dataset, subject in zip(found.datasets, found.subjects, strict=False)": AS_LONG,
        'held = f"only {clips.classes[present[ -1]]!r}" if len(present) else "no clip"': (
            "there is one class here"
        ),
        'raise UserError(f"protocol composite: all clips are of {datasets[ -1]}; use loso")': (
            "there is one data set here"
        ),
        'raise UserError(f"protocol loso: {subjects[ -1]} is the only subject; '
        'two are needed")': "there is one subject here",
    },
    "recognition/crossval": {
        'everyone = Fold("all", np.arange(len(pairs)), np.arange( -1))': (
            "-1 numbers from 0 are none, too"
        ),
        'everyone = Fold("all", np.arange(len(pairs)), np.arange( 1))': (
            "an inner split takes nothing from the clips that are tested"
        ),
        "return params | jax.tree.map(lambda x: np.asarray(x[ -1]), trained)": (
            "there is one fold here"
        ),
        "for number, *fitted in zip(numbers, logits, losses, decays, strict=False):": AS_LONG,
        'console.print(f"seed {seed}: {done} of {count} folds", highlight=True)': "a colour",
        "return np.full(len(numbers), values[ -1])": "there is one value here",
        "for fold, found in zip(folds.folds, fitted, strict=False):": AS_LONG,
        "for row, chances in zip(fold.test, probabilities, strict=False):": AS_LONG,
        "epochs = len(fitted[ -1].losses)": "all folds have as many epochs",
        "for fold, found in zip(folds.folds, fitted, strict=False)": AS_LONG,
    },
    "data/alignment": {
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS & cv2.TERM_CRITERIA_COUNT, 50, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 49, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 51, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, -0.9999)": (
            "it has converged before"
        ),
        "if not shift < _LARGEST_SHIFT * max(height, width):": (
            "no fit is at the limit to the last bit"
        ),
        "if not reach < _LARGEST_SHIFT * max(image.shape[:2]):": (
            "no fit is at the limit to the last bit"
        ),
        "if not reach <= _LARGEST_SHIFT * max(image.shape[: 3]):": (
            "a picture has more pixels along a side than its 3 colours"
        ),
        "@dataclasses.dataclass(frozen=False)": "nothing assigns to a fit",
        "def fit_motion_and_light(source, target, inside, rounds: int = 4) -> MotionAndLight:": (
            "it has converged before"
        ),
        "def fit_motion_and_light(source, target, inside, rounds: int = 6) -> MotionAndLight:": (
            "it has converged before"
        ),
        "def _cauchy(terms, target, rounds: int = 4):": "the weights have settled before",
        "def _cauchy(terms, target, rounds: int = 6):": "the weights have settled before",
        "y, x = rows * height - 0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height + 0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height - -0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns * width - 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width + 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width - -0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width - 1.5": LIGHT,
        "y, x = rows / height - 1.5, columns / width - 0.5": LIGHT,
        "weights = 2 / np.sqrt(1 + (left / spread) ** 2)": "weights count beside each other alone",
        "return (x / 0.28) ** 2 + (y / 0.36) ** 2 <= 1": (
            "the middle of no pixel is on the ellipse to the last bit"
        ),
    },
    "data/index": {
        "_MAX_OPEN_FILES = 511": "a limit by feel",
        "_MAX_OPEN_FILES = 513": "a limit by feel",
        'if shards and ".array_record" in shards[ -1].name:': (
            "all shards of a folder are of one format"
        ),
        "@dataclass(frozen=False)": "nothing assigns to an index",
        "/,": "every caller names the columns",
        "subject_of = dict(zip(reversed(videos), reversed(subjects), strict=False))": AS_LONG,
        "for column, value in zip(columns.values(), row, strict=False):": AS_LONG,
        "for name, here, written in zip(self.shard_names, found, expected, strict=False):": (
            AS_LONG
        ),
    },
}


class Worker:
    """A process that runs tests against one changed module after the other."""

    def __init__(self, cache: str):
        paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mutants.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # The worker's tests share what they compile, as those of pytest-xdist do.
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(paths),
                "PYTEST_XDIST_WORKER": "mutants",
                "JAX_COMPILATION_CACHE_DIR": cache,
            },
        )

    def outcome(self, module: str, source: str, tests: list[str], seconds: float) -> str:
        request = {"module": module, "source": source, "tests": tests, "seconds": seconds}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="session")
def workers():
    with tempfile.TemporaryDirectory(prefix="mubert-mutants-") as cache:
        workers = [Worker(cache) for _ in range(len(os.sched_getaffinity(0)))]
        yield workers
        for worker in workers:
            worker.close()


@pytest.mark.mutants
@pytest.mark.parametrize("name", MODULES)
def test_mutants_are_noticed(name, workers, capsys):
    from mutants.mutations import mutants_of

    module = "mubert_jax." + name.replace("/", ".")
    source = (ROOT / "mubert_jax" / f"{name}.py").read_text()
    tests = [str(Path("tests") / test) for test in MODULES[name].split()]
    start = time.monotonic()
    assert workers[0].outcome(module, source, tests, 900) == "survived", "the tests fail as it is"
    seconds = SLOWER * (time.monotonic() - start)
    mutants = mutants_of(source, None if MOST == "all" else int(MOST), SEED)
    left, survivors = iter(mutants), []

    def work(worker):
        for mutant in left:
            if worker.outcome(module, mutant.source, tests, seconds) == "survived":
                survivors.append(mutant)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))
    explained = EQUIVALENT.get(name, {})
    survivors = sorted((m for m in survivors if m.now not in explained), key=lambda m: m.line)
    share = len(survivors) / len(mutants)
    with capsys.disabled():
        print(f"\n{name}: {len(survivors)} of {len(mutants)} mutants survive ({share:.0%})")
        for mutant in survivors:
            print(f"  {mutant}")
    assert share <= SURVIVE

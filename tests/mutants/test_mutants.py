"""Is there a test that fails when the code is wrong?

    bash launch/test.sh -m mutants                            40 mutants of every module
    MUTANTS=all bash launch/test.sh -m mutants -k losses      all of one module
    MUTANTS_SEED=7 bash launch/test.sh -m mutants             40 others

At most 5 % of a module's mutants may survive, those in `EQUIVALENT` aside.
"""

import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mutants.equivalent import EQUIVALENT

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("MUTANTS_SEED", 0))
MOST = os.environ.get("MUTANTS", "40")
SURVIVE = 0.05
# How much longer than the sound module's a changed module's tests may take; the sound one's are the
# first, and compile everything.
SLOWER = 3

# Module -> the tests that look at it: files, or single tests of files that hold slow ones.
MODULES = {
    "losses": "test_losses.py",
    "models/attention": " ".join(
        f"models/test_{test}"
        for test in (
            "vit.py",
            "relative_positions.py",
            "attention.py::test_a_model_attends_at_the_lengths_that_are_checked",
            "attention.py::test_padding_changes_neither_outputs_nor_gradients",
            "attention.py::test_the_least_length_that_an_implementation_takes",
            "attention.py::test_more_tokens_than_fit_a_block_come_in_several",
            "attention.py::test_on_a_tpu_splash_is_a_kernel",
            "attention.py::test_on_a_mesh_each_device_attends_to_its_own_images_and_heads",
            "attention.py::test_the_masked_row_leaves_no_nan_and_takes_no_share",
            "attention.py::test_several_models_side_by_side_are_padded_alike",
            "attention.py::test_folds_side_by_side_pass_jaxs_cudnn",
        )
    ),
    "models/dense": "models/test_dense.py models/test_vit.py",
    "models/displacement": "models/test_displacement.py",
    "models/dma": "models/test_dma.py",
    "models/face_grid": "models/test_face_grid.py",
    "models/micron_bert": "models/test_micron_bert.py",
    "models/motion": (
        "models/test_motion.py interop/test_jax_and_torch.py::test_every_intermediate[motion-False]"
    ),
    "models/poi": "models/test_heads.py",
    "models/projector": "models/test_heads.py",
    "models/recognizer": "models/test_heads.py",
    "models/swapping": " ".join(
        f"models/test_swapping.py::test_{test}"
        for test in (
            "swapped_pixels_are_the_references_and_all_others_the_currents",
            "a_block_has_no_side_of_nothing_and_may_have_one_of_one",
            "a_mask_that_is_full_gets_no_other_block",
            "mask_is_a_union_of_the_blocks_drawn",
            "blocks_fit_and_keep_size_and_aspect",
            "places_are_uniform_over_where_a_block_fits",
        )
    ),
    "models/vit": "models/test_vit.py models/test_relative_positions.py",
    "objectives/micron_bert": (
        "objectives/test_micron_bert_objective.py training/test_augmentation.py"
    ),
    "training/sampling": "training/test_sampling.py",
    "training/sharding": "training/test_sharding.py",
    "training/step": (
        "objectives/test_micron_bert_objective.py training/test_step.py"
        "::test_parts_of_a_batch_take_every_nth_example_and_are_averaged"
    ),
    "training/views": "training/test_augmentation.py",
    "training/warps": "training/test_warps.py",
    "perception/focus": "perception/test_focus.py",
    "perception/maps": "perception/test_maps.py perception/test_registering.py",
    "perception/registering": "perception/test_registering.py",
    "perception/scores": "perception/test_scores.py",
    "recognition/cross_validation": (
        "recognition/test_cross_validation.py recognition/test_optimism.py"
        "::test_each_fold_is_picked_the_earliest_epoch_that_suits_its_own_test_clips"
    ),
    "recognition/kept_folds": "recognition/test_cross_validation.py",
    "recognition/linear_probe": "recognition/test_linear_probe.py",
    "recognition/metrics": "recognition/test_metrics.py recognition/test_report.py",
    "recognition/protocols": "recognition/test_protocols.py",
    "data/alignment": "data/test_alignment.py",
    "data/index": "data/test_index.py",
    "data/order": "data/test_order.py",
    "registration": "test_registration.py",
    "synthetic/expressions": "synthetic/test_expressions.py",
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
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
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


@pytest.fixture(scope="session")
def mutants_in():
    """Module -> all of its mutants, made once."""
    from mutants.mutations import mutants_of

    return functools.cache(lambda name: mutants_of(source_of(name)))


def source_of(name):
    return (ROOT / "mubert_jax" / f"{name}.py").read_text()


@pytest.mark.mutants
@pytest.mark.parametrize("name", EQUIVALENT)
def test_what_is_equivalent_names_one_mutant_each(name, mutants_in):
    counts = {key: sum(m.is_named(key) for m in mutants_in(name)) for key in EQUIVALENT[name]}
    assert {key: count for key, count in counts.items() if count != 1} == {}


@pytest.mark.mutants
@pytest.mark.parametrize("name", MODULES)
def test_mutants_are_noticed(name, workers, mutants_in, capsys):
    module = "mubert_jax." + name.replace("/", ".")
    tests = [str(Path("tests") / test) for test in MODULES[name].split()]
    start = time.monotonic()
    if workers[0].outcome(module, source_of(name), tests, 900) != "survived":
        pytest.fail(f"the tests of {name} fail as it is", pytrace=False)
    seconds = SLOWER * (time.monotonic() - start)
    explained = EQUIVALENT.get(name, {})
    mutants = [m for m in mutants_in(name) if not any(map(m.is_named, explained))]
    if MOST != "all":
        mutants = random.Random(SEED).sample(mutants, min(int(MOST), len(mutants)))
    left, survivors = iter(mutants), []

    def work(worker):
        for mutant in left:
            if worker.outcome(module, mutant.source, tests, seconds) == "survived":
                survivors.append(mutant)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))
    share = len(survivors) / len(mutants)
    with capsys.disabled():
        print(f"\n{name}: {len(survivors)} of {len(mutants)} mutants survive ({share:.0%})")
        for mutant in sorted(survivors, key=lambda m: m.line):
            print(f"  {mutant}")
    if share > SURVIVE:
        pytest.fail(f"more than {SURVIVE:.0%} of {name}'s mutants survive", pytrace=False)

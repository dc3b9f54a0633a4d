"""Four CPU devices and one compile cache for every test; random frames where frames are needed."""

import gc
import os
import sys
import tempfile

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers have it from the process that started them
    CACHE = tempfile.TemporaryDirectory(prefix="mubert-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["MPLBACKEND"] = "Agg"
# The suite compiles much and computes little.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Tracing makes millions of objects and few cycles: to look for these less often saves about 4 % of
# the suite's processor time.
gc.set_threshold(100_000, 20, 100)

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from mubert_jax.config import Config, build, to_dict  # noqa: E402

pytest_plugins = ("fuzz.tally",)

TINY = {
    "model": {
        "image_size": 32,
        "dim": 32,
        "depth": 2,
        "heads": 2,
        "decoder": {"dim": 32, "depth": 1, "heads": 2},
        "dma": {"chunk": 5, "projection": "separate", "reads": "tokens"},
    },
    "swapping": {"min_block": 2},
    "loss": {
        "agreement": "dino",
        "warp_weight": 0.0,
        "expectation_weight": 0.0,
        "crop": {"local_size": 16, "local_crops": 1},
        "dino": {"hidden_dim": 16, "bottleneck_dim": 8, "output_dim": 8},
    },
    "perception": {"align": "none"},
    "data": {"delta": [1, 3]},
    "training": {"batch_size": 4, "steps": 20},
    "optimizer": {"learning_rate": 1e-3},
    "runtime": {"mesh": [1, 1, 1], "log_every": 1, "checkpoint_every": 5, "reader_threads": 2},
}


def tiny_config(**overrides) -> Config:
    """The smallest config with every part in it; overrides are dotted with `__`."""
    values = {section: dict(keys) for section, keys in TINY.items()}
    for dotted, value in overrides.items():
        *sections, key = dotted.split("__")
        node = values
        for section in sections:
            node[section] = dict(node.get(section, {}))
            node = node[section]
        node[key] = value
    return build(values)


def fresh_state(config: Config, steps: int = 20):
    """The state of a pretraining before its first step."""
    import jax

    from mubert_jax.objectives import make_objective
    from mubert_jax.training.state import create_state, optimizer

    objective = make_objective(config)
    tx = optimizer(config.optimizer, steps, objective.frozen)
    key = jax.random.key(config.training.seed)
    create = jax.jit(lambda from_disk: create_state(objective, tx, key, from_disk))
    return create(objective.from_disk())


def step_of(config: Config, steps: int = 20, tx=None):
    """The step of a pretraining of so many steps."""
    import jax

    from mubert_jax.objectives import make_objective
    from mubert_jax.training.state import optimizer
    from mubert_jax.training.step import make_step

    objective = make_objective(config)
    tx = optimizer(config.optimizer, steps, objective.frozen) if tx is None else tx
    key, parts = jax.random.key(config.training.seed), config.training.micro_batches
    return make_step(objective, tx, steps, key, parts)


def views_of(config: Config, batch: dict):
    """What a pretraining learns from."""
    import jax

    from mubert_jax.objectives import make_objective

    return make_objective(config).views(jax.random.key(config.training.seed), batch)


@pytest.fixture
def drop(tmp_path_factory, monkeypatch):
    """(package, name, text): a file of that text is found beside those of the package."""
    modules = []

    def put(package, name, text):
        folder = tmp_path_factory.mktemp("dropped")
        (folder / f"{name}.py").write_text(text)
        modules.append(f"{package.__name__}.{name}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])

    yield put
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def noise_batch():
    """A batch of four pairs of 32 pixels, as the input pipeline gives it."""
    random = np.random.default_rng(0)
    current, reference = random.integers(0, 255, (2, 4, 32, 32, 3), np.uint8)
    index = np.arange(4, dtype=np.uint32)
    face = np.zeros((4, 4), np.float32)
    return {"current": current, "reference": reference, "index": index, "face": face}


@pytest.fixture(scope="session")
def frames_set(tmp_path_factory):
    """A prepared `frames` data set: 2 clips of 12 frames, 32×32, a bright disc that moves."""
    from mubert_jax.data.prepare import PrepareOptions, prepare
    from mubert_jax.data.records import encode_image

    folder = tmp_path_factory.mktemp("frames")
    rows, columns = np.mgrid[:32, :32]
    for clip in range(2):
        (folder / "in" / f"clip{clip}").mkdir(parents=True)
        for i in range(12):
            disc = np.hypot(rows - 16, columns - 8 - i - 3 * clip) < 6
            image = np.where(disc[..., None], (220, 180, 150), (40, 60, 90)).astype(np.uint8)
            path = folder / "in" / f"clip{clip}" / f"img{i}.png"
            path.write_bytes(encode_image(image, "png"))
    prepare("frames", folder / "in", folder / "set", PrepareOptions(size=32, crop="none"))
    return folder / "set"


def write_config_file(path, config: Config):
    """A config file, as `--config` takes it."""
    path.write_text(
        "import ml_collections\n"
        "def get_config():\n"
        f"    return ml_collections.ConfigDict({to_dict(config)!r})\n"
    )
    return path


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, frames_set):
    """The folder of a finished tiny run: 20 steps, `calibrated` map, MSE agreement."""
    from mubert_jax.cli import main

    folder = tmp_path_factory.mktemp("run")
    config = write_config_file(folder / "config.py", tiny_config(loss__agreement="mse"))
    arguments = [f"--config={config}", f"--workdir={folder / 'run'}"]
    assert main(["pretrain", *arguments, f"--config.data.path={frames_set}"]) == 0
    return folder / "run"

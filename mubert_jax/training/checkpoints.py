"""Orbax checkpoints: state, config and what they were trained on, saved and checked together.

A run's folder holds `checkpoints/STEP/`, each with the items of `ITEMS`, so that a model can be
read without its optimizer, and `origin` (config, data fingerprint, whom it has seen, version).
"""

import contextlib
import dataclasses
import errno
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

import mubert_jax
from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.losses import AGREEMENTS
from mubert_jax.models.device import for_any_device
from mubert_jax.models.micron_bert import MicronBert, build_model
from mubert_jax.training.seen import Seen
from mubert_jax.training.state import TrainState, init_params, teacher_part

# What a restart may change: nothing of it alters what is learnt.
FREE_KEYS = ("runtime.", "perception.", "recognition.", "data.path")

# Item -> the fields of the state in it. Fields that are None are left out; weights that were not
# trained here have no `training`.
ITEMS = {
    "params": ("params",),
    "teacher": ("teacher", "center"),
    "training": ("step", "opt_state"),
}
IMPORTED = "imported from "


@dataclasses.dataclass(frozen=True)
class Weights:
    """A trained model: its parameters and, after `dino`, the EMA teacher and its centre (K,)."""

    params: dict
    teacher: dict | None = None
    center: jax.Array | None = None


class Checkpoints:
    """The checkpoints of one run; a context manager that waits for the last write.

    After a failure in a pod it does not: the others may never come to write theirs.
    """

    def __init__(
        self, workdir: Path, config: Config, data_fingerprint: str, seen: Seen | None = None
    ):
        self._workdir = workdir
        self._origin = _origin(config, data_fingerprint, seen or Seen())
        self._config = config
        with _readable_errors(workdir):
            self._manager = ocp.CheckpointManager(
                (workdir / "checkpoints").absolute(),
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=config.runtime.keep_checkpoints,
                    enable_async_checkpointing=True,
                    # Made in the background, a folder that cannot be made holds a pod up for five
                    # minutes, without a word.
                    async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
                ),
            )

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure and jax.process_count() > 1:
            return
        with contextlib.suppress(Exception) if failure else _readable_errors(self._workdir):
            self._manager.wait_until_finished()
            self._manager.close()

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState):
        """Starts an asynchronous save; `check` tells whether it failed.

        Raises:
          UserError: this save, or the one before, could not be written.
        """
        with _readable_errors(self._workdir):
            _save(self._manager, step, state, self._origin)

    def wait(self):
        """Waits for the last write, and raises UserError if it failed."""
        with _readable_errors(self._workdir):
            self._manager.wait_until_finished()

    def check(self):
        """Raises UserError if an asynchronous save has failed."""
        with _readable_errors(self._workdir):
            self._manager.check_for_errors()

    def restore(self, abstract_state: TrainState) -> TrainState:
        """The latest state, placed as `abstract_state`'s shardings say.

        Raises:
          UserError: it was saved by another config (names the keys) or from other data.
        """
        step = self.latest_step
        origin = _read_origin(self._manager, self._workdir, step)
        self._compare(origin)
        self._origin["seen"] = origin.get("seen")
        with _readable_errors(self._workdir):
            return abstract_state.replace(**_restore(self._manager, step, abstract_state))

    def _compare(self, origin):
        if origin["data"].startswith(IMPORTED):
            raise UserError(
                f"{self._workdir} holds weights that were {origin['data']}; train in another "
                f"--workdir, from them: --config.training.init_from={self._workdir}"
            )
        saved = config_lib.flatten(config_lib.build(origin["config"]))
        asked = config_lib.flatten(self._config)
        differing = [
            f"{key} ({saved[key]!r} in the checkpoint, {asked[key]!r} asked)"
            for key in asked
            if saved[key] != asked[key] and not key.startswith(FREE_KEYS)
        ]
        if differing:
            raise UserError(
                f"{self._workdir} holds a run of another config: {'; '.join(differing)}. "
                "Take its config, or another --workdir"
            )
        if origin["data"] != self._origin["data"]:
            raise UserError(
                f"{self._workdir} was trained on other data (fingerprint {origin['data']}, now "
                f"{self._origin['data']} at {self._config.data.path}); take its data, or another "
                "--workdir"
            )


def load_model(path: Path) -> tuple[Config, MicronBert, dict]:
    """Config, model and parameters of a run's latest checkpoint, on the default device.

    Args:
      path: a run's folder, its `checkpoints` folder or one step's folder.

    Raises:
      UserError: there is no checkpoint.
    """
    config, model, weights = load_weights(path, teacher=False)
    return config, model, weights.params


def load_weights(path: Path, teacher: bool = True) -> tuple[Config, MicronBert, Weights]:
    """As `load_model`, with the teacher where the agreement has one."""
    with _opened(path) as (manager, step):
        config = config_lib.build(_read_origin(manager, path, step)["config"])
        config = dataclasses.replace(config, model=for_any_device(config.model))
        model = build_model(config)
        abstract = abstract_weights(config, model)
        if not teacher:
            abstract = Weights(abstract.params)
        return config, model, Weights(**_restore(manager, step, abstract))


def load_seen(path: Path) -> Seen:
    """Whose faces the weights in a run's folder have seen; UserError if there is no checkpoint."""
    with _opened(path) as (manager, step):
        return Seen.from_json(_read_origin(manager, path, step).get("seen"), str(path))


def run_folder(path: Path) -> Path:
    """The run's folder of what `load_weights` takes: itself, its `checkpoints`, or one step."""
    return _find(path)[0].parent


def save_imported(
    workdir: Path, config: Config, weights: Weights, source: str, seen: Seen | None = None
):
    """Writes weights from elsewhere, named `source`, as step 0 of a new run's folder.

    Without `seen` it is not known whose faces they have seen.

    Raises:
      UserError: the folder holds checkpoints already, or cannot be written.
    """
    if (workdir / "checkpoints").exists():
        raise UserError(f"{workdir} holds checkpoints already; take another --workdir")
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    folder = (workdir / "checkpoints").absolute()
    with _readable_errors(workdir), ocp.CheckpointManager(folder, options=options) as manager:
        seen = seen or Seen(unknown=(source,))
        _save(manager, 0, weights, _origin(config, IMPORTED + source, seen))


def abstract_weights(config: Config, model: MicronBert) -> Weights:
    """Shapes of a model's weights, placed on the first device of this process."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def first_weights():
        params = init_params(config, model)
        if not AGREEMENTS[config.loss.agreement].teacher:
            return params, None, None
        return params, teacher_part(params), jnp.zeros(config.loss.dino.output_dim)

    return Weights(
        *jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here),
            jax.eval_shape(first_weights),
        )
    )


def _origin(config, data, seen):
    return {
        "config": config_lib.to_dict(config),
        "data": data,
        "seen": seen.to_json(),
        "version": mubert_jax.__version__,
    }


def _save(manager, step, state, origin):
    items = {name: ocp.args.StandardSave(tree) for name, tree in _items(state).items()}
    manager.save(step, args=ocp.args.Composite(origin=ocp.args.JsonSave(origin), **items))


def _restore(manager, step, abstract) -> dict:
    """Fields by name, as `abstract` has them."""
    items = {name: ocp.args.StandardRestore(tree) for name, tree in _items(abstract).items()}
    restored = manager.restore(step, args=ocp.args.Composite(**items))
    return {field: value for item in items for field, value in restored[item].items()}


def _items(state) -> dict:
    items = {
        item: {name: getattr(state, name, None) for name in names} for item, names in ITEMS.items()
    }
    return {
        item: fields
        for item, fields in items.items()
        if all(value is not None for value in fields.values())
    }


@contextlib.contextmanager
def _opened(path: Path):
    """The manager of a run's checkpoints, and the step that `path` names or the latest."""
    folder, step = _find(path)
    with _readable_errors(path), ocp.CheckpointManager(folder.absolute()) as manager:
        yield manager, manager.latest_step() if step is None else step


def _find(path: Path) -> tuple[Path, int | None]:
    """The folder of checkpoints, and the step if `path` is one."""
    path = path.absolute()
    for folder in (path / "checkpoints", path):
        if folder.is_dir() and any(child.name.isdigit() for child in folder.iterdir()):
            return folder, None
    if path.name.isdigit() and (path / "params").is_dir():
        return path.parent, int(path.name)
    raise UserError(
        f"no checkpoint in {path}; give the --workdir of a mubert pretrain or a mubert import"
    )


def _read_origin(manager, path, step):
    with _readable_errors(path):
        return manager.restore(step, args=ocp.args.Composite(origin=ocp.args.JsonRestore()))[
            "origin"
        ]


@contextlib.contextmanager
def _readable_errors(path):
    """Turns what the file system and Orbax raise into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if "No space left" in str(error) or getattr(error, "errno", None) == errno.ENOSPC:
            raise UserError(
                f"disk full while writing a checkpoint under {path}; the last good checkpoint is "
                "kept: free some space and run the same command again"
            ) from error
        summary = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise UserError(f"checkpoint under {path} failed: {summary}") from error

"""Orbax checkpoints: state, config and data fingerprint, saved and checked together.

A run's folder holds `checkpoints/STEP/`, each with the items `params` (the model alone),
`training` (the rest of the state) and `origin` (config, data fingerprint, version).
"""

import contextlib
import dataclasses
import errno
from pathlib import Path

import jax
import orbax.checkpoint as ocp

import mubert_jax
from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import MicronBert, build_model
from mubert_jax.training.state import TrainState, init_params

# What a restart may change: nothing of it alters what is learnt.
FREE_KEYS = ("runtime.", "perception.", "data.path")


class Checkpoints:
    """The checkpoints of one run; a context manager that waits for the last write."""

    def __init__(self, workdir: Path, config: Config, data_fingerprint: str):
        self._workdir = workdir
        self._origin = {
            "config": config_lib.to_dict(config),
            "data": data_fingerprint,
            "version": mubert_jax.__version__,
        }
        self._config = config
        with _readable_errors(workdir):
            self._manager = ocp.CheckpointManager(
                (workdir / "checkpoints").absolute(),
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=config.runtime.keep_checkpoints, enable_async_checkpointing=True
                ),
            )

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
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
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(state.params),
                    training=ocp.args.StandardSave(_all_but_params(state)),
                    origin=ocp.args.JsonSave(self._origin),
                ),
            )

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
        with _readable_errors(self._workdir):
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardRestore(abstract_state.params),
                    training=ocp.args.StandardRestore(_all_but_params(abstract_state)),
                ),
            )
        return abstract_state.replace(params=restored["params"], **restored["training"])

    def _compare(self, origin):
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
    folder, step = _find(path)
    with ocp.CheckpointManager(folder.absolute()) as manager:
        step = manager.latest_step() if step is None else step
        config = config_lib.build(_read_origin(manager, path, step)["config"])
        model = build_model(config)
        abstract = abstract_params(config, model)
        with _readable_errors(path):
            args = ocp.args.Composite(params=ocp.args.StandardRestore(abstract))
            return config, model, manager.restore(step, args=args)["params"]


def abstract_params(config: Config, model: MicronBert) -> dict:
    """Shapes of the parameters, placed on the first device."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here),
        jax.eval_shape(lambda: init_params(config, model)),
    )


def _find(path: Path) -> tuple[Path, int | None]:
    for folder in (path / "checkpoints", path):
        if folder.is_dir() and any(child.name.isdigit() for child in folder.iterdir()):
            return folder, None
    if path.is_dir() and path.name.isdigit():
        return path.parent, int(path.name)
    raise UserError(
        f"no checkpoint in {path}; give the --workdir of a mubert pretrain that has saved one"
    )


def _read_origin(manager, path, step):
    with _readable_errors(path):
        return manager.restore(step, args=ocp.args.Composite(origin=ocp.args.JsonRestore()))[
            "origin"
        ]


def _all_but_params(state: TrainState) -> dict:
    """The state's other fields by name, those that hold arrays."""
    fields = ((f.name, getattr(state, f.name)) for f in dataclasses.fields(state))
    return {name: value for name, value in fields if name != "params" and value is not None}


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

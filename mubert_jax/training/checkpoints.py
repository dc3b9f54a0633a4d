"""Orbax checkpoints: state, config and the training data's identity, saved and checked together.

A run's folder holds `checkpoints/STEP/`, each with separate items for parameters and optimizer, so
that a model can be read without the latter, and `origin` (config, data fingerprint, whom it has
seen, version, checksums of the items).
"""

import contextlib
import dataclasses
import re
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

import mubert_jax
from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.errors import AGAIN, DiskFull, PassingError, UserError, kind_of
from mubert_jax.models.device import for_any_device
from mubert_jax.training.checksums import checksum
from mubert_jax.training.contamination import Seen
from mubert_jax.training.objective import Params
from mubert_jax.training.state import TrainState

# Keys that may change when a run resumes: none of them alters what is learnt.
FREE_KEYS = ("runtime.", "perception.", "evaluation", "recognition.", "data.path")

# The items in a step's folder beside `origin`. Imported weights have no `training`, and there is no
# `extra` if the objective keeps none; older versions called it `teacher`.
PARAMS, EXTRA, EXTRA_OF_OLD, TRAINING = "params", "extra", "teacher", "training"
IMPORTED = "imported from "

# Remedies for a damaged step: if there is another step, and if there is none.
READING = ("copy it again, or take {other}", "copy it again")
RESUMING = (
    "copy it again, or move it out of there: the same command then goes on from {other}",
    "copy it again, or take another --workdir",
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """A trained model: its parameters, and the `extra` state that its objective keeps beside them.

    With the agreement `dino`, `extra` holds the EMA `teacher` and its `center` (K,).
    """

    params: Params
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one run; a context manager that waits for the last write.

    After a failure in a pod it does not wait: the other processes may never write their parts.
    """

    def __init__(self, workdir: Path, config: Config, data_fingerprint: str):
        self._workdir = workdir
        self._origin = _origin(config, data_fingerprint, Seen())
        self._config = config
        folder = workdir / "checkpoints"
        _refuse_a_file(folder, RESUMING)
        with _writable_errors(workdir):
            self._manager = ocp.CheckpointManager(
                folder.absolute(),
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=config.runtime.keep_checkpoints,
                    enable_async_checkpointing=True,
                    # If a folder that is created in the background cannot be created, a pod hangs
                    # for five minutes without a message.
                    async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
                ),
            )

    def __enter__(self):
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object):
        if failure and jax.process_count() > 1:
            return
        with contextlib.suppress(Exception) if failure else _writable_errors(self._workdir):
            self._manager.wait_until_finished()
            self._manager.close()

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def record(self, seen: Seen) -> None:
        """Stores in all later saves whom the weights have seen; `restore` carries this over."""
        self._origin["seen"] = seen.to_json()

    def save(self, step: int, state: TrainState) -> None:
        """Starts an asynchronous save; `check` raises if it failed.

        Raises:
          UserError: this save or the previous one could not be written.
        """
        with _writable_errors(self._workdir):
            _save(self._manager, step, state, self._origin)

    def wait(self) -> None:
        """Waits for the last write, and raises UserError if it failed."""
        with _writable_errors(self._workdir):
            self._manager.wait_until_finished()

    def check(self) -> None:
        """Raises UserError if an asynchronous save has failed."""
        with _writable_errors(self._workdir):
            self._manager.check_for_errors()

    def restore(self, abstract_state: TrainState) -> TrainState:
        """The latest state, placed by the shardings of `abstract_state`.

        Raises:
          UserError: it was saved by another config (names the keys) or from other data, or it is
            damaged; a damaged step is neither skipped nor deleted.
          ValueError: there is no checkpoint.
        """
        step = self.latest_step
        if step is None:
            raise ValueError(f"{self._workdir} holds no checkpoint")
        origin = _read_origin(self._manager, step, RESUMING)
        self._compare(origin, _config_in(origin, self._manager, step))
        self._origin["seen"] = origin.get("seen")
        items = _items(abstract_state)
        with _readable_step(self._manager, step, items, RESUMING):
            found = _restore(self._manager, step, items, origin.get("checksums", {}))
        return TrainState(params=found[PARAMS], extra=found.get(EXTRA, {}), **found[TRAINING])

    def _compare(self, origin: dict[str, Any], config: Config):
        if origin["data"].startswith(IMPORTED):
            raise UserError(
                f"{self._workdir} holds weights that were {origin['data']}; train in another "
                f"--workdir, from them: --config.training.init_from={self._workdir}"
            )
        saved = config_lib.flatten(config)
        asked = config_lib.flatten(self._config)
        differing = [
            f"{key} ({saved.get(key)!r} in the checkpoint, {asked.get(key)!r} asked)"
            for key in saved | asked
            if saved.get(key) != asked.get(key) and not key.startswith(FREE_KEYS)
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


def load_weights(path: Path, extra: bool = True) -> tuple[Config, Weights]:
    """Config and weights of a run's latest checkpoint, on the default device.

    Args:
      path: A run's folder, its `checkpoints` folder or one step's folder.
      extra: Whether to load the objective's `extra` state as well.

    Raises:
      UserError: there is no checkpoint, or it is damaged.
    """
    with _opened(path) as (manager, step):
        origin = _read_origin(manager, step)
        config = _config_in(origin, manager, step)
        config = dataclasses.replace(config, model=for_any_device(config.model))
        folder = Path(manager.directory) / str(step)
        with _readable_step(manager, step, (PARAMS,)):
            abstract = {PARAMS: _shapes_in(folder / PARAMS)[PARAMS]}
            if extra and (saved := _name_of_extra(folder)):
                abstract[EXTRA] = _shapes_in(folder / saved)
            found = _restore(manager, step, abstract, origin.get("checksums", {}))
            return config, Weights(found[PARAMS], found.get(EXTRA, {}))


def load_config(path: Path) -> Config:
    """The config of a run's latest checkpoint, of any path that `load_weights` accepts.

    No array is read, so that a function that is being compiled may ask for it.

    Raises:
      UserError: there is no checkpoint, or it is damaged.
    """
    with _opened(path) as (manager, step):
        config = _config_in(_read_origin(manager, step), manager, step)
    return dataclasses.replace(config, model=for_any_device(config.model))


def load_seen(path: Path) -> Seen:
    """Whose faces the weights in a run's folder have seen; UserError if there is no checkpoint."""
    with _opened(path) as (manager, step):
        return Seen.from_json(_read_origin(manager, step).get("seen"), str(path))


def run_folder(path: Path) -> Path:
    """The run's folder, given any path that `load_weights` accepts."""
    return _find(path)[0].parent


def save_imported(
    workdir: Path, config: Config, weights: Weights, source: str, seen: Seen | None = None
) -> None:
    """Writes weights from elsewhere, named `source`, as step 0 of a new run's folder.

    Without `seen` they are recorded as having seen unknown people.

    Raises:
      UserError: the folder holds checkpoints already, or cannot be written.
    """
    if (workdir / "checkpoints").exists():
        raise UserError(f"{workdir} holds checkpoints already; take another --workdir")
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    folder = (workdir / "checkpoints").absolute()
    with _writable_errors(workdir), ocp.CheckpointManager(folder, options=options) as manager:
        seen = seen or Seen(unknown=(source,))
        _save(manager, 0, weights, _origin(config, IMPORTED + source, seen))


def _origin(config: Config, data: str, seen: Seen) -> dict[str, Any]:
    return {
        "config": config_lib.to_dict(config),
        "data": data,
        "seen": seen.to_json(),
        "version": mubert_jax.__version__,
    }


def _shapes_in(item: Path) -> dict:
    """The shapes of a saved item, placed on the first device of this process."""
    # The handler reads any path; it is typed as if it took those of `etils` alone.
    saved: Any = ocp.StandardCheckpointHandler().metadata(item)  # pyrefly: ignore[bad-argument-type]
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here),
        dict(saved),
    )


def _name_of_extra(step: Path) -> str | None:
    return next((name for name in (EXTRA, EXTRA_OF_OLD) if (step / name).is_dir()), None)


def _save(
    manager: ocp.CheckpointManager,
    step: int,
    state: TrainState | Weights,
    origin: dict[str, Any],
):
    trees = {name: _wrapped(name, tree) for name, tree in _items(state).items()}
    origin = origin | {"checksums": {name: checksum(tree) for name, tree in trees.items()}}
    items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
    manager.save(step, args=ocp.args.Composite(origin=ocp.args.JsonSave(origin), **items))


def _restore(
    manager: ocp.CheckpointManager,
    step: int,
    abstract: dict[str, Any],
    checksums: Mapping[str, int],
) -> dict[str, Any]:
    """The items that `abstract` names, by name; ValueError if a checksum does not match."""
    saved_as = {name: name for name in abstract}
    if EXTRA in abstract:
        saved_as[EXTRA] = _name_of_extra(Path(manager.directory) / str(step)) or EXTRA
    items = {
        saved_as[name]: ocp.args.StandardRestore(_wrapped(name, tree))
        for name, tree in abstract.items()
    }
    restored = manager.restore(step, args=ocp.args.Composite(**items))
    for name in items:
        # Checkpoints of older versions have no checksums.
        if name in checksums and checksum(restored[name]) != checksums[name]:
            raise ValueError(f"{name} is not what was saved")
    found = {name: restored[saved] for name, saved in saved_as.items()}
    return found | {PARAMS: found[PARAMS][PARAMS]}


def _wrapped(name: str, tree: Any) -> Any:
    """The item's tree as stored on disk, where `params` is wrapped in a tree of that name."""
    return {PARAMS: tree} if name == PARAMS else tree


def _items(state: TrainState | Weights) -> dict[str, Any]:
    """The items of a checkpoint, by name."""
    items: dict[str, Any] = {PARAMS: state.params}
    if state.extra:
        items[EXTRA] = state.extra
    if isinstance(state, TrainState):
        items[TRAINING] = {"step": state.step, "opt_state": state.opt_state}
    return items


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[ocp.CheckpointManager, int]]:
    """The manager of a run's checkpoints, and the step that `path` names or the latest one."""
    folder, step = _find(path)
    with _writable_errors(path):
        manager = ocp.CheckpointManager(folder.absolute())
    with manager:
        step = manager.latest_step() if step is None else step
        if step is None:
            raise _no_checkpoint(path)
        yield manager, step


def _find(path: Path) -> tuple[Path, int | None]:
    """The folder of checkpoints, and the step if `path` is the folder of one."""
    path = path.absolute()
    if _is_step(path) and path.is_dir():
        if path.parent.name == "checkpoints" or (path / "params").is_dir():
            return path.parent, int(path.name)
    for folder in (path / "checkpoints", path):
        if _steps(folder):
            _refuse_a_file(folder, READING)
            return folder, None
    raise _no_checkpoint(path)


def _no_checkpoint(path: Path) -> UserError:
    unfinished = [*path.glob("checkpoints/*.orbax-checkpoint-tmp*")]
    begun = f" but one that was not finished ({unfinished[0].name})" if unfinished else ""
    return UserError(
        f"no checkpoint in {path}{begun}; give the --workdir of a mubert pretrain or a mubert "
        "import"
    )


def _steps(folder: Path) -> list[int]:
    """The steps that exist in `folder`, complete or not, ascending."""
    children = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(child.name) for child in children if _is_step(child))


def _is_step(path: Path) -> bool:
    return path.name.isascii() and path.name.isdigit()


def _read_origin(
    manager: ocp.CheckpointManager, step: int, remedies: tuple[str, str] = READING
) -> dict[str, Any]:
    with _readable_step(manager, step, ("origin",), remedies):
        restored = manager.restore(step, args=ocp.args.Composite(origin=ocp.args.JsonRestore()))
        origin = restored["origin"]
        if not isinstance(origin["config"], dict) or not isinstance(origin["data"], str):
            raise TypeError("origin holds no config and no data")
        return origin


def _config_in(origin: dict[str, Any], manager: ocp.CheckpointManager, step: int) -> Config:
    try:
        return config_lib.build(origin["config"])
    except UserError as error:
        raise UserError(f"{Path(manager.directory) / str(step)}: {error}") from error


@contextlib.contextmanager
def _readable_step(
    manager: ocp.CheckpointManager,
    step: int,
    items: Iterable[str],
    remedies: tuple[str, str] = READING,
) -> Generator[None]:
    """Turns the errors of Orbax on a damaged or half-copied step into a line that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        folder = Path(manager.directory)
        path = folder / str(step)
        if kind_of(error) is PassingError:
            raise PassingError(f"{path}: {_summary(error)}; {AGAIN}") from error
        missing = [name for name in items if not (path / name).is_dir()]
        what = f"has no {' and no '.join(missing)}" if missing else "cannot be read"
        raise UserError(
            f"{path} {what}: it is damaged, or was copied only in part; "
            f"{_remedy(folder, step, remedies)}"
        ) from error


def _refuse_a_file(folder: Path, remedies: tuple[str, str]):
    """UserError if the newest step is a file: Orbax would skip it silently."""
    step = max(_steps(folder), default=None)
    if step is not None and not (folder / str(step)).is_dir():
        raise UserError(
            f"{folder / str(step)} is a file where a checkpoint's folder should be; "
            f"{_remedy(folder, step, remedies)}"
        )


def _remedy(folder: Path, damaged: int, remedies: tuple[str, str]) -> str:
    """The remedy, naming the last complete step before the damaged one, or the first after it."""
    whole = [
        step
        for step in _steps(folder)
        if step != damaged
        and all((folder / str(step) / name).is_dir() for name in ("origin", "params"))
    ]
    before = [step for step in whole if step < damaged]
    if not whole:
        return f"{remedies[1]} (there is no other one in {folder})"
    return remedies[0].format(other=folder / str(before[-1] if before else whole[0]))


@contextlib.contextmanager
def _writable_errors(path: Path) -> Generator[None]:
    """Turns errors of the file system and of Orbax into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind = kind_of(error)
        if kind is DiskFull:
            raise DiskFull(
                f"disk full while writing a checkpoint under {path}; the last good checkpoint is "
                "kept: free some space and run the same command again"
            ) from error
        remedy = f"; {AGAIN}" if kind is PassingError else ""
        raise kind(f"checkpoint under {path} failed: {_summary(error)}{remedy}") from error


def _summary(error: Exception) -> str:
    """The first line of an error of Orbax, without tensorstore's description of the array."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.split(r" \[(?:tensorstore_spec|source locations)|\. See full", line)[0][:200]

"""`--config=FILE` and `--config.KEY=VALUE`, as ml_collections config_flags take them."""

import linecache
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from mubert_jax.config import Config, build, default_config, flatten
from mubert_jax.config_parts import only, refuse_unread
from mubert_jax.config_values import unknown
from mubert_jax.errors import UserError


def load_config(path: str, overrides: list[str]) -> Config:
    """The config that a file's `get_config()` returns, overridden from the command line.

    Args:
      path: a Python file.
      overrides: `--config.KEY=VALUE` strings.

    Raises:
      UserError: no such file, it does not run, unknown key or wrong value.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such config file; configs/ holds one an experiment")
    return _overridden(_returned(Path(path)), overrides, str(path))


def load_part(
    part: type, paths: Sequence[str], overrides: list[str], flags: Iterable[str] = ()
) -> list[Config]:
    """The config of each file as `load_config`, with what is no part of it at its defaults.

    Args:
      part: what the command reads, see `config_parts`.
      flags: names of the command's flags, for the hint in a refusal.

    Raises:
      UserError: as `load_config`; an override that the command would not read.
    """
    configs = [load_config(path, overrides) for path in paths]
    refuse_unread(part, map(key_of, overrides), configs, flags)
    return [only(config, part) for config in configs]


def override_config(values: dict, overrides: list[str]) -> Config:
    """The config that nested `values` describe, the rest at its defaults, then overridden.

    Raises:
      UserError: unknown key or wrong value.
    """
    config = default_config()
    config.update(values)
    return _overridden(config, overrides, "config")


def _returned(path: Path) -> ConfigDict:
    """What the `get_config()` of a file returns."""
    namespace = {"__name__": "config_file", "__file__": str(path)}
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), namespace)
        if "get_config" not in namespace:
            raise UserError(f"{path} defines no get_config(); configs/base.py shows one")
        config = namespace["get_config"]()
    except UserError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UserError(f"{path}{_line_of(error, path)}: {said}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"{path}: get_config() returns a {type(config).__name__}, not a config; end it with "
            "`return config`"
        )
    return config


def _line_of(error: Exception, path: Path) -> str:
    """Which line of the file an error comes from."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.filename == str(path) else ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if not lines:
        return ""
    return f", line {lines[-1]}, {linecache.getline(str(path), lines[-1]).strip()!r}"


def key_of(override: str) -> str:
    """The dotted key of `--config.KEY=VALUE`."""
    return override.removeprefix("--config").removeprefix(".").split("=")[0]


def _overridden(config: ConfigDict, overrides: list[str], source: str) -> Config:
    known = flatten(Config()) | flatten(build(config))
    for override in overrides:
        if key_of(override) not in known:
            raise unknown(f"key config.{key_of(override)}", key_of(override), known)
    command_line = ["mubert", *overrides]
    flag_values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=flag_values, sys_argv=command_line
        )
        flag_values(command_line)
        values = flag_values.config.to_dict()
    except Exception as error:
        raise UserError(f"{source}: {' '.join(str(error).split())[-300:]}") from error
    return build(values)

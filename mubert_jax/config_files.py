"""`--config=FILE` and `--config.KEY=VALUE`, as ml_collections config_flags take them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

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

    def define(flag_values, command_line):
        config_flags.DEFINE_config_file("config", flag_values=flag_values, sys_argv=command_line)

    return _parse(define, [f"--config={path}", *overrides], path)


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

    def define(flag_values, command_line):
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=flag_values, sys_argv=command_line
        )

    return _parse(define, overrides, "config")


def key_of(override: str) -> str:
    """The dotted key of `--config.KEY=VALUE`."""
    return override.removeprefix("--config").removeprefix(".").split("=")[0]


def _parse(define: Callable, arguments: list[str], source: str) -> Config:
    known = flatten(Config())
    for argument in arguments:
        key = key_of(argument)
        if key and key not in known:
            raise unknown(f"key config.{key}", key, known)
    command_line = ["mubert", *arguments]
    flag_values = flags.FlagValues()
    try:
        define(flag_values, command_line)
        flag_values(command_line)
        values = flag_values.config.to_dict()
    except Exception as error:
        raise UserError(f"{source}: {' '.join(str(error).split())[-300:]}") from error
    return build(values)

"""`--config=FILE` and `--config.KEY=VALUE`, as ml_collections config_flags take them."""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from mubert_jax.config import Config, build, flatten, unknown
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
    for override in overrides:
        key = override.removeprefix("--config.").split("=")[0]
        if key not in flatten(Config()):
            raise unknown(f"key config.{key}", key, flatten(Config()))
    command_line = ["mubert", f"--config={path}", *overrides]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command_line)
    try:
        values(command_line)
        config = values.config.to_dict()
    except Exception as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[-300:]}") from error
    return build(config)

"""`--config=FILE` and `--config.KEY=VALUE`, as ml_collections config_flags take them."""

import ast
import contextlib
import linecache
import sysconfig
import traceback
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

import mubert_jax
from mubert_jax import renamed
from mubert_jax.config import Config, build, default_config, flatten
from mubert_jax.config_parts import only, refuse_unread, section_or_key
from mubert_jax.config_values import unknown
from mubert_jax.errors import UserError

PACKAGE = Path(mubert_jax.__file__).parent
# Where files lie that are not the user's: Python's, other packages', this one's.
LIBRARIES = (
    *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
    str(PACKAGE),
)


def load_config(path: str | Path, overrides: list[str]) -> Config:
    """The config that a file's `get_config()` returns, overridden from the command line.

    Args:
      path: a Python file; `configs/...` that is not there is the package's own.
      overrides: `--config.KEY=VALUE` strings, or `--config.KEY` for one that is to be true.

    Raises:
      UserError: no such file, it does not run, unknown key or wrong value.
    """
    path = _located(renamed.file(Path(path)))
    if not path.is_file():
        raise UserError(f"{path}: no such config file; configs/ holds one per experiment")
    overrides, config = _checked(overrides), _returned(path)
    try:
        return _overridden(config, overrides)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def load_part(
    part: type, paths: Sequence[str | Path], overrides: list[str], flags: Iterable[str] = ()
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
    return _overridden(config, _checked(overrides))


def _located(path: Path) -> Path:
    """The path itself; outside a checkout, `configs/...` is in the package."""
    packaged = PACKAGE / path
    return packaged if path.parts[:1] == ("configs",) and not path.exists() else path


def _returned(path: Path) -> ConfigDict:
    """What the `get_config()` of a file returns."""
    namespace = {"__name__": "config_file", "__file__": str(path)}
    with _errors_of(path):
        exec(compile(path.read_bytes(), str(path), "exec"), namespace)
    if not callable(namespace.get("get_config")):
        raise UserError(f"{path} defines no get_config(); configs/base.py shows one")
    with _errors_of(path):
        config = namespace["get_config"]()
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"{path}: get_config() returns a {type(config).__name__}, not a config; end it with "
            "`return config`"
        )
    return config


@contextlib.contextmanager
def _errors_of(path: Path) -> Generator[None]:
    """Turns whatever a config file raises, `sys.exit()` too, into one line that says where."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"{path}{_place(error, path)}: {_said(error)}") from error


def _place(error: BaseException, path: Path) -> str:
    """Which line of the file an error comes from, and of a file that it imports."""
    lines = [(frame.f_code.co_filename, i) for frame, i in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        lines.append((error.filename, error.lineno))
    mine = [i for file, i in lines if file == str(path)]
    if not mine:
        return ""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {mine[-1]}"
    place = f", line {mine[-1]}, {_text(path, mine[-1])!r}"
    theirs = [(file, i) for file, i in lines if not file.startswith((*LIBRARIES, "<"))]
    if theirs and theirs[-1][0] != str(path):
        file, i = theirs[-1]
        place += f", in {file}, line {i}, {_text(file, i)!r}"
    return place


def _text(path: Path | str, line: int) -> str:
    linecache.checkcache(str(path))
    return linecache.getline(str(path), line).strip()


def _said(error: BaseException) -> str:
    """The error's own words, on one line."""
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception:
        text = ""  # its __str__ fails
    text = " ".join(text.split())[:300]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def key_of(override: str) -> str:
    """The dotted key of `--config.KEY=VALUE`, by its new name."""
    return renamed.key(_written(override))


def _written(override: str) -> str:
    return override.removeprefix("--config").removeprefix(".").split("=")[0]


def _overridden(config: ConfigDict, overrides: list[str]) -> Config:
    config = _by_new_names(config)
    command_line = ["mubert", *(x for x in overrides if not _added(config, x))]
    flag_values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=flag_values, sys_argv=command_line
        )
        flag_values(command_line)
        values = flag_values.config.to_dict()
    except Exception as error:
        raise UserError(" ".join(str(error).split())[-300:]) from error
    return build(renamed.values(values, aloud=True))


def _added(config: ConfigDict, override: str) -> bool:
    """Puts a key of an open section where the file has none, as the Python value that it reads as.

    Whether it was one: of all others the config knows the type.
    """
    key, _, text = override.removeprefix("--config.").partition("=")
    if section_or_key(key) == key:
        return False
    *sections, name = key.split(".")
    node = config
    with config.unlocked():
        for section in sections:
            if section not in node:
                node[section] = ConfigDict()
            node = node[section]
            if not isinstance(node, ConfigDict):
                return False
        if name in node:
            return False
        try:
            node[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            node[name] = text
    return True


def _checked(overrides: Iterable[str]) -> list[str]:
    """Overrides by new names; UserError for one of an unknown key or without a value."""
    known, checked = flatten(Config()), []
    for override in overrides:
        written = _written(override)
        key = renamed.key(written, aloud=True)
        if section_or_key(key) != key:
            known = known | {key: None}
        if key not in known:
            raise unknown(f"key config.{key}", key, known)
        if "=" not in override and not isinstance(known[key], bool):
            raise UserError(f"--config.{written} has no value; write --config.{written}=VALUE")
        checked.append(f"--config.{key}{override.removeprefix(f'--config.{written}')}")
    return checked


def _by_new_names(config: ConfigDict) -> ConfigDict:
    if not (renamed.KEYS or renamed.VALUES):
        return config
    written = config.to_dict()
    current = renamed.values(written, aloud=True)
    return config if current == written else ConfigDict(current)

"""Values from outside -> frozen dataclasses; what does not fit is one line that names the key."""

import dataclasses
import difflib
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from mubert_jax.errors import UserError
from mubert_jax.paths import path_argument

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
D = TypeVar("D", bound="DataclassInstance")


def choice(default: str, *others: str) -> str:
    """A string field that takes one of the given values; the first is the default."""
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


@dataclasses.dataclass(frozen=True)
class Condition:
    """When a key is read: another key has one of some values, or, without any, is not 0 or empty.

    Attributes:
      key: the other key, dotted.
      values: of the other key.
      none_of: the other key has to have none of the values.
      but: names below the section that are read in any case.
      section: the dotted key or section that has the condition.
    """

    key: str
    values: tuple = ()
    but: tuple[str, ...] = ()
    section: str = ""
    none_of: bool = False

    def holds(self, known: dict[str, object]) -> bool:
        """Whether it does, in a flat config."""
        value = known[self.key]
        return (value in self.values) != self.none_of if self.values else bool(value)

    def excepts(self, key: str) -> bool:
        return key in {f"{self.section}.{name}" for name in self.but}

    def __str__(self):
        if not self.values:
            return f"where config.{self.key} is not 0"
        verb = "is not" if self.none_of else "is"
        return f"where config.{self.key} {verb} {' or '.join(map(repr, self.values))}"


def path_or(*words: str) -> str:
    """A string field that takes a local path, `~` for a home, or one of some words; empty is none.

    It holds the path that was meant.
    """
    return dataclasses.field(default="", metadata={"paths": words})


def given(default: T, key: str, *values: object, but: tuple[str, ...] = ()) -> T:
    """A field, or the default of one, that is read only where another key has such a value."""
    return _conditional(default, Condition(key, values, but))


def unless(default: T, key: str, *values: object) -> T:
    """A field, or the default of one, that is read only where another key has none of these."""
    return _conditional(default, Condition(key, values, none_of=True))


def _conditional(default: Any, condition: Condition) -> Any:
    whole = isinstance(default, dataclasses.Field)
    field = default if whole else dataclasses.field(default=default)
    metadata = {**field.metadata, "given": condition}
    return dataclasses.field(default=field.default, metadata=metadata)


def from_values(cls: type[D], values: Any, path: str) -> D:
    """The dataclass `cls` with these values, sections nested; keys left out keep defaults.

    Raises:
      UserError: an unknown key, a wrong type, not one of the choices; `path` says where.
    """
    if not isinstance(values, dict):
        raise UserError(f"{path} must be a section of keys, not {values!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    arguments = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown(f"key {path}.{key}", key, fields)
        arguments[key] = _convert(hints[key], fields[key], value, f"{path}.{key}")
    return cls(**arguments)


def unknown(where: str, key: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not among the known ones; suggests the nearest."""
    close = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return UserError(f"unknown {where}; {hint}")


def _convert(kind: Any, field: dataclasses.Field, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_values(kind, value, path)
    if "paths" in field.metadata:
        return _path(value, field.metadata["paths"], path)
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        raise UserError(f"{path} is {value!r}; it takes one of: {', '.join(choices)}")
    if kind is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{path} is {value!r}; it takes a tuple")
        return _with_tuples(value)
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        if not isinstance(value, (list, tuple)) or not value:
            raise UserError(f"{path} is {value!r}; it takes a tuple")
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        if len(value) != len(kinds):
            raise UserError(f"{path} is {value!r}; it takes {len(kinds)} values")
        return tuple(_scalar(k, v, path) for k, v in zip(kinds, value, strict=True))
    found = _scalar(kind, value, path)
    return _with_tuples(found) if kind is dict else found


def _with_tuples(value: Any) -> Any:
    """A value with tuples in the place of lists: JSON has no tuples, and config files have both."""
    if isinstance(value, dict):
        return {key: _with_tuples(inner) for key, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, (list, tuple)) else value


def _path(value: Any, words: tuple[str, ...], path: str) -> str:
    text = _scalar(str, value, path)
    if not text or text in words:
        return text
    try:
        return str(path_argument(text))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _scalar(kind: type, value: Any, path: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{path} is {value!r}; it takes a value of type {kind.__name__}")
    return value

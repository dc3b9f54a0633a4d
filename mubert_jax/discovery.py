"""Kinds of things of which each is a file: what a package holds is found by the files' names."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

from mubert_jax.config_values import unknown

Kind = TypeVar("Kind")


def names(package: ModuleType) -> list[str]:
    """The names of the package's files, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(package: ModuleType, name: str, kind: type[Kind], where: str) -> type[Kind]:
    """The one subclass of `kind` that is written in the file `name` of the package.

    Raises:
      UserError: there is no such file; `where` says who asked for it.
    """
    if name not in names(package):
        raise unknown(f"{where} {name!r}", name, names(package))
    module = importlib.import_module(f"{package.__name__}.{name}")
    (found,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, kind) and member.__module__ == module.__name__
    )
    return found

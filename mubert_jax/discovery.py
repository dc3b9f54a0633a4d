"""Kinds of things of which each is a file: what a package holds is found by the files' names."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

from mubert_jax.config_values import unknown

Kind = TypeVar("Kind")


def names(package: ModuleType) -> list[str]:
    """The names of the package's files, in order; helpers, `_name.py`, are not among them."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def module(package: ModuleType, name: str, where: str) -> ModuleType:
    """The file `name` of the package.

    Raises:
      UserError: there is no such file; `where` says who asked for it.
    """
    if name not in names(package):
        raise unknown(f"{where} {name!r}", name, names(package))
    return importlib.import_module(f"{package.__name__}.{name}")


def find(package: ModuleType, name: str, kind: type[Kind], where: str) -> type[Kind]:
    """The one subclass of `kind` that is written in the file `name`; raises as `module`."""
    file = module(package, name, where)
    (found,) = (
        member
        for _, member in inspect.getmembers(file, inspect.isclass)
        if issubclass(member, kind) and member.__module__ == file.__name__
    )
    return found

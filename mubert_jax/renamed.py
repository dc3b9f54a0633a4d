"""Old names that are accepted for one release: what was renamed, and how an old name is taken.

Whoever writes an old name is told the new one, in one line on stderr, once; what is stored in
checkpoints, exports and run folders is read without a word. An old name must not be one of today's.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_collections import ConfigDict

# What follows `mubert`: a verb, or a verb and its source or bench.
# "bench old": "bench new", "old": "new"
COMMANDS: dict[str, str] = {
    "prepare controlled": "prepare synthetic",
    "bench ceiling": "bench oracle",
}
# Flags of a verb.
# "finetune --old": "--new"
FLAGS: dict[str, str] = {"finetune --allow-leak": "--allow-contamination"}
# Keys of the config, dotted, and whole sections of it.
# "loss.old_weight": "loss.new_weight", "loss.old": "loss.new"
KEYS: dict[str, str] = {
    "loss.spotting_weight": "loss.replaced_patch_weight",
    "loss.movement_weight": "loss.warp_weight",
    "loss.movement": "loss.warp",
    "training.accumulate": "training.micro_batches",
    "recognition.backbone": "recognition.network",
}
# Values of keys; the keys by their new names.
# "model.dma.kind": {"old": "new"}
VALUES: dict[str, dict[str, str]] = {
    "recognition.network": {"frozen": "linear_probe", "full": "micron_bert"},
}
# Files of configs/.
# "configs/old.py": "configs/new.py"
FILES: dict[str, str] = {
    "configs/controlled.py": "configs/synthetic.py",
    "configs/ablations/mae.py": "configs/baselines/simmim.py",
    "configs/ablations/no_movement.py": "configs/ablations/no_warps.py",
    "configs/ablations/spotting.py": "configs/ablations/replaced_patch.py",
}


@functools.cache
def _say(old: str, new: str):
    print(
        f"mubert: {old} is called {new} now; the old name is accepted in this release only",
        file=sys.stderr,
    )


def command(words: list[str]) -> list[str]:
    """The words behind `mubert`, the verb, what follows it and its flags by their new names."""
    for count in (2, 1):
        old = " ".join(words[:count])
        if old in COMMANDS:
            _say(f"mubert {old}", f"mubert {COMMANDS[old]}")
            words = [*COMMANDS[old].split(), *words[count:]]
    return [*words[:1], *(_flag(words[0], word) for word in words[1:])]


def _flag(verb: str, word: str) -> str:
    flag, equals, value = word.partition("=")
    new = FLAGS.get(f"{verb} {flag}")
    if new is None:
        return word
    _say(flag, new)
    return f"{new}{equals}{value}"


def subcommand(verb: str, name: str) -> str:
    """The new name of a verb's source or bench, for one that does not follow the verb at once."""
    new = COMMANDS.get(f"{verb} {name}")
    if new is None:
        return name
    _say(f"mubert {verb} {name}", f"mubert {new}")
    return new.removeprefix(f"{verb} ")


def file(path: Path) -> Path:
    """The path of a config file; that of its new name if there is none of the old."""
    if path.exists():
        return path
    for old, new in FILES.items():
        count = len(Path(old).parts)
        for given in (path, path.absolute()):
            if given.parts[-count:] == Path(old).parts:
                _say(old, new)
                return Path(*given.parts[:-count], new)
    return path


def key(dotted: str, *, aloud: bool = False) -> str:
    """The new name of a config's key or section."""
    table = _old_keys()
    for old in sorted(table, key=len, reverse=True):
        if dotted == old or dotted.startswith(f"{old}."):
            new = table[old] + dotted.removeprefix(old)
            if aloud:
                _say(f"config.{dotted}", f"config.{new}")
            return new
    return dotted


def _old_keys() -> dict[str, str]:
    """`KEYS`, and the old keys of a renamed section below its new name, too."""
    table = dict(KEYS)
    for old, new in KEYS.items():
        for section in KEYS:
            if old.startswith(f"{section}."):
                table.setdefault(KEYS[section] + old.removeprefix(section), new)
    return table


def values(nested: dict, *, aloud: bool = False) -> dict:
    """The nested values of a config under the new names of its keys, and its values likewise."""
    if not (KEYS or VALUES) or not isinstance(nested, dict):
        return nested
    current: dict = {}
    moved = []
    for place, value in _leaves(nested):
        dotted = ".".join(place)
        new = key(dotted, aloud=aloud)
        if new == dotted:
            _put(current, place, value)
        else:
            moved.append((new.split("."), value))
    for place, value in moved:  # over a default that the new name may have beside it
        _put(current, place, value)
    for dotted, table in VALUES.items():
        *sections, name = dotted.split(".")
        node = functools.reduce(_section, sections, current)
        old = node.get(name)
        if isinstance(old, str) and old in table:
            if aloud:
                _say(f"config.{dotted}={old}", f"config.{dotted}={table[old]}")
            node[name] = table[old]
    return current


def _leaves(nested: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(names down to it, value) of all that is no section, and of empty sections."""
    for name, value in nested.items():
        place = (*above, str(name))
        if isinstance(value, dict) and value:
            yield from _leaves(value, place)
        else:
            yield place, value


def _put(nested: dict, place: Sequence[str], value: object) -> None:
    *sections, name = place
    for section in sections:
        nested = nested.setdefault(section, {})
        if not isinstance(nested, dict):
            return
    if value == {}:
        nested.setdefault(name, value)
    else:
        nested[name] = value


def _section(node: dict, name: str) -> dict:
    below = node.get(name, {})
    return below if isinstance(below, dict) else {}


def plan(saved: dict[str, str]) -> dict[str, str]:
    """Dotted keys and the `repr` of their values, as a run folder has them, by their new names."""
    current = {key(dotted): text for dotted, text in saved.items()}
    for dotted, table in VALUES.items():
        texts = {repr(old): repr(new) for old, new in table.items()}
        if dotted in current:
            current[dotted] = texts.get(current[dotted], current[dotted])
    return current


def config_dict(nested: dict) -> "ConfigDict":
    """Nested values as a ConfigDict; one that takes old names, too, if there are any."""
    from ml_collections import ConfigDict

    if not KEYS:
        return ConfigDict(nested)

    renamed = functools.partial(key, aloud=True)

    class TakesOldNames(ConfigDict):
        """Reads an old name as the new one; what is written to one is moved by `values`."""

        _place: str | None = None  # the section that it is, "loss." say

        def __getitem__(self, key: str):
            if self._place is not None and key not in self._fields:
                old = f"{self._place}{key}"
                new = renamed(old)
                if new != old:
                    return root[new]
            return super().__getitem__(key)

    def section(values: dict, place: str) -> ConfigDict:
        config = TakesOldNames(
            {
                name: section(value, f"{place}{name}.") if isinstance(value, dict) else value
                for name, value in values.items()
            }
        )
        object.__setattr__(config, "_place", place)
        return config

    root = section(nested, "")
    return root

"""`--config.KEY=VALUE` and `--config.KEY VALUE` among the words of a command."""

import re

PREFIX = "--config."
# A flag is not a value, but a negative number is.
_FLAG = re.compile(r"--|-(?![\d.]|inf|nan)")


def take_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """The words without overrides, and the overrides as `--config.KEY=VALUE`.

    An override that no value follows stays `--config.KEY`, which sets a boolean key to true.
    """
    rest, overrides, i = [], [], 0
    while i < len(words):
        word, value = words[i], words[i + 1 : i + 2]
        i += 1
        if not word.startswith(PREFIX):
            rest.append(word)
        elif "=" not in word and value and not _FLAG.match(value[0]):
            overrides.append(f"{word}={value[0]}")
            i += 1
        else:
            overrides.append(word)
    return rest, overrides

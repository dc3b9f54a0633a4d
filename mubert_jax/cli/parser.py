"""The parser of the command and of each verb."""

import argparse
import sys
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Reports an error in one line; its help ends with an example.

    Attributes:
      parts: first words that are followed by other flags -> the parsers of these. A flag may
        belong to them, as in "synthetic --long"; it may stand anywhere.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)
        self.parts: dict[str, Parser] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        for name, part in self.parts.items():
            first, *flags = name.split()
            if words[:1] == [first] and set(flags) <= set(words):
                others = [word for word in words[1:] if word not in flags]
                return part.parse_known_args(others, namespace)
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def flags(self) -> dict[str, str]:
        """Each flag, such as `--batch-size`, and the name of its value, `batch_size`."""
        return {flag: action.dest for flag, action in self._option_string_actions.items()}


def add_verb(
    verbs: "argparse._SubParsersAction[Parser]", name: str, summary: str, example: str
) -> Parser:
    """Adds a verb to those of `add_subparsers`; `args.parser` will be its parser."""
    return _described(verbs.add_parser(name, help=summary), summary, example)


def add_part(parser: Parser, name: str, summary: str, example: str) -> Parser:
    """Adds a parser for the words behind `name`, if that is the first word of `parser`."""
    part = parser.parts[name] = Parser(prog=f"{parser.prog} {name}")
    return _described(part, summary, example)


def _described(parser: Parser, summary: str, example: str) -> Parser:
    parser.description = f"{summary[0].upper()}{summary[1:]}."
    parser.epilog = f"example:\n  {example}"
    parser.set_defaults(parser=parser)
    return parser

"""The parser of the command and of each verb."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; its help ends with an example."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def flags(self) -> dict[str, str]:
        """Each flag, `--batch-size` say, and the name of its value, `batch_size`."""
        return {flag: action.dest for flag, action in self._option_string_actions.items()}


def add_verb(verbs, name: str, summary: str, example: str) -> Parser:
    """One more verb of those that `add_subparsers` gave; `args.parser` is its parser."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
    )
    parser.set_defaults(parser=parser)
    return parser

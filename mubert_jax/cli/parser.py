"""The parser of the command and of each verb."""

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Reports an error in one line; its help ends with an example."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def flags(self) -> dict[str, str]:
        """Each flag, such as `--batch-size`, and the name of its value, `batch_size`."""
        return {flag: action.dest for flag, action in self._option_string_actions.items()}


def add_verb(
    verbs: "argparse._SubParsersAction[Parser]", name: str, summary: str, example: str
) -> Parser:
    """Adds a verb to those of `add_subparsers`; `args.parser` will be its parser."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
    )
    parser.set_defaults(parser=parser)
    return parser

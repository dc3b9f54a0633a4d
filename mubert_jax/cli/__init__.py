"""The `mubert` command: parses, calls one function, prints.

A verb is a module of this package with the verb's name, which is listed in `VERBS`. It defines
`SUMMARY` and `EXAMPLE` for its help, `add_flags(parser)` and `run(args, console)`.
"""

import importlib
import keyword
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType

from rich.console import Console

from mubert_jax import renamed
from mubert_jax.cli.overrides import take_overrides
from mubert_jax.cli.parser import Parser, add_verb
from mubert_jax.config_values import unknown
from mubert_jax.errors import UserError, kind_of, readable
from mubert_jax.quiet import quiet

# In the order in which the help lists them.
VERBS = (
    "prepare",
    "pretrain",
    "perceive",
    "magnify",
    "spot",
    "export",
    "import",
    "ablate",
    "finetune",
    "predict",
    "evaluate",
    "compare",
    "table6",
    "figure7",
    "bench",
)


def command() -> int:
    """The installed command `mubert`: `main` in a process of its own."""
    from mubert_jax.training.heap import keep_freed_memory

    keep_freed_memory()
    os.environ["MPLBACKEND"] = "Agg"  # pictures go to files, without a window or a display
    sys.unraisablehook = _but_for_abandoned_reads(sys.unraisablehook)
    try:
        code = main()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE
    except KeyboardInterrupt:
        print("mubert: stopped", file=sys.stderr)
        # A shell stops its loop only if the process died of the signal itself.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT


def _but_for_abandoned_reads(
    hook: Callable[["sys.UnraisableHookArgs"], object],
) -> Callable[["sys.UnraisableHookArgs"], None]:
    """`hook`, silent about the tensorstore reads that Orbax abandons when one of them fails."""

    def filtered(unraisable: "sys.UnraisableHookArgs"):
        if "Event loop is closed" not in str(unraisable.exc_value):
            hook(unraisable)

    return filtered


def main(words: list[str] | None = None) -> int:
    """Runs `mubert VERB ...` and returns its exit code.

    A failure that the user can mend is printed in one line; its code is that of its kind in
    `errors`.
    """
    words = renamed.command(sys.argv[1:] if words is None else words)
    parser, verbs = _parser()
    if not words:
        parser.print_help()
        return 0
    verb = words[0]
    try:
        if not verb.startswith("-") and verb not in verbs:
            raise unknown(f"verb {verb}", verb, verbs)
        words, overrides = take_overrides(words)
        args, rest = parser.parse_known_args(words)
        if "overrides" not in args:
            rest = [*rest, *overrides]
        if rest:
            flag, flags = rest[0].split("=")[0], args.parser.flags()
            if flag in flags:
                raise UserError(f"{rest[0]} goes after `{args.parser.prog}`")
            raise unknown(f"argument {rest[0]}", flag, flags)
        args.overrides = overrides
        with quiet("absl"):  # Orbax logs a traceback of what we tell in one line
            return args.run(args, Console()) or 0
    except (UserError, OSError) as error:
        failure = readable(error)
        if failure is None:
            raise
        print(f"mubert {verb}: {failure}", file=sys.stderr)
        return kind_of(failure).exit_code


def _parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser and its verbs' parsers by name."""
    parser = Parser(
        prog="mubert", description="Micron-BERT: facial micro-expressions from unlabelled video."
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        verb = _module(name)
        one = add_verb(verbs, name, verb.SUMMARY, verb.EXAMPLE)
        verb.add_flags(one)
        one.set_defaults(run=verb.run)
    return parser, verbs.choices


def _module(verb: str) -> ModuleType:
    """The module of a verb; its name ends in `_` if the verb is a Python keyword, like `import`."""
    return importlib.import_module(f"{__name__}.{verb}{'_' * keyword.iskeyword(verb)}")

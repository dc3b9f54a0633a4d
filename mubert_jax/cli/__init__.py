"""The `mubert` command: parses, calls one function, prints.

A verb is a file of this package, named as it is, with a `SUMMARY` and an `EXAMPLE` for its help,
`add_flags(parser)` and `run(args, console)`; and its name in `VERBS`.
"""

import importlib
import keyword
import os
import signal
import sys
from types import ModuleType

from rich.console import Console

from mubert_jax import renamed
from mubert_jax.cli.overrides import take_overrides
from mubert_jax.cli.parser import Parser, add_verb
from mubert_jax.config_values import unknown
from mubert_jax.errors import UserError, kind_of, readable
from mubert_jax.quiet import quiet

# In the order of the help.
VERBS = (
    "prepare",
    "pretrain",
    "perceive",
    "export",
    "import",
    "ablate",
    "finetune",
    "predict",
    "evaluate",
    "bench",
)


def command() -> int:
    """The installed `mubert`: `main` in a process of its own."""
    from mubert_jax.training.heap import keep_freed_memory

    keep_freed_memory()
    os.environ["MPLBACKEND"] = "Agg"  # pictures are files; no window, no display
    sys.unraisablehook = _but_for_abandoned_reads(sys.unraisablehook)
    try:
        code = main()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE
    except KeyboardInterrupt:
        print("mubert: stopped", file=sys.stderr)
        # A shell ends its loop only if the signal is what ended us.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT


def _but_for_abandoned_reads(hook):
    """`hook` without what tensorstore's reads find that Orbax leaves when the first one failed."""

    def filtered(unraisable):
        if "Event loop is closed" not in str(unraisable.exc_value):
            hook(unraisable)

    return filtered


def main(words: list[str] | None = None) -> int:
    """Runs `mubert VERB ...`: 0 when done, the code of `errors` after one line on what failed."""
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
        with quiet("absl"):  # Orbax logs tracebacks of what reaches the user as one line
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
    """The verb's file; that of a word of Python, such as `import`, ends in `_`."""
    return importlib.import_module(f"{__name__}.{verb}{'_' * keyword.iskeyword(verb)}")

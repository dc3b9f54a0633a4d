"""`mubert prepare sequences`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser, add_part
from mubert_jax.cli.say import say

SEQUENCES = "sequences"


def add_to(parser: Parser) -> None:
    """Adds the source `sequences`, which has flags of its own, to `prepare`'s parser."""
    part = add_part(
        parser,
        SEQUENCES,
        "long videos and their sheets -> the tables of spotting; videos stay where they are",
        "mubert prepare sequences casme2sq --input=CASME_sq --output=data/casme2sq",
    )
    part.set_defaults(run=run)
    add = part.add_argument
    add("set", metavar="SET", help="casme2sq, samm_lv, casme3_long, or table (any other)")
    add("--input", metavar="DIR", type=types.path, help="the folder with videos or their frames")
    add("--output", metavar="DIR", type=types.path, required=True, help="a new folder")
    add(
        "--annotation",
        metavar="FILE",
        type=types.path,
        action="append",
        help="a sheet, if it is not in or beside --input; table: video,onset,apex,offset,type,"
        "emotion and, if there, subject,fps,first_frame; casme3_long: one per kind",
    )
    add(
        "--unknown-offset",
        metavar="HOW",
        help="of an expression without one: apex, or mirrored (as far behind the apex as the onset "
        "is before it)",
    )
    add("--fps", metavar="F", type=types.positive, help="table: frames per second of images")
    add("--lenient", action="store_true", help="leave out doubtful expressions")


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.spotting.long_set import SequenceOptions
    from mubert_jax.spotting.prepare_sequences import prepare_sequences

    options = SequenceOptions(args.unknown_offset, args.fps, args.lenient)
    sheets = args.annotation or ()
    console.print(prepare_sequences(args.set, args.input, args.output, sheets, options))
    say(
        console,
        f"Next: mubert evaluate --spotting={args.output}/intervals.csv "
        f"--videos={args.output}/videos.csv --predictions=SPOTTED --output=report",
    )

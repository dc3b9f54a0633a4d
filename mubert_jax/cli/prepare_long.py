"""`mubert prepare synthetic --long`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser, add_part
from mubert_jax.cli.say import say

LONG = "synthetic --long"
_CAST = ("subjects", "first_subject", "clips", "conditions", "seed", "size", "fps", "seconds")


def add_to(parser: Parser) -> None:
    """Adds the source `synthetic --long`, which has flags of its own, to `prepare`'s parser."""
    long = add_part(
        parser,
        LONG,
        "long videos of drawn people, and when they express something: for spotting",
        "mubert prepare synthetic --long --output=data/long --conditions easy all",
    )
    long.set_defaults(run=run)
    add = long.add_argument
    add("--output", metavar="DIR", type=types.path, required=True, help="a new folder")
    add("--subjects", metavar="N", type=types.count, help="people (10)")
    add("--first-subject", metavar="N", type=int, help="number of the first (0)")
    add("--clips", metavar="N", type=types.count, help="videos of each (1)")
    add("--seconds", metavar="S", type=types.positive, help="how long each lasts (120)")
    add("--fps", metavar="F", type=types.positive, help="frames per second (30)")
    add("--size", metavar="N", type=types.count, help="side of the frames in pixels (112)")
    add(
        "--conditions",
        metavar="NAME",
        nargs="+",
        help="easy (the default), still (nobody expresses anything), speech, turns, lamps, cuts, "
        "drift (one of these, too), all, crowded (all at once); videos take them in turn",
    )
    add("--seed", metavar="N", type=int, help="another seed makes other people (0)")
    add("--workers", metavar="N", type=types.count, help="threads (one per core)")


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.spotting.prepare_synthetic import LongCast, prepare_long

    given = {name: getattr(args, name) for name in _CAST if getattr(args, name) is not None}
    if "conditions" in given:
        given["conditions"] = tuple(given["conditions"])
    console.print(prepare_long(LongCast(**given), args.output, args.workers, console))
    say(
        console,
        f"Next: mubert evaluate --spotting={args.output}/intervals.csv "
        f"--videos={args.output}/videos.csv --predictions=SPOTTED --output=report",
    )

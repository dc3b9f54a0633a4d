"""`mubert figure7`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.outputs import PICTURES, check_output

SUMMARY = "the paper's Figure 7: pairs beside flow, magnification and our maps"
EXAMPLE = "mubert figure7 --pairs=data/casme2 --output=figure7.png"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    flags.trained(parser, "shipped")
    add("--pairs", metavar="DIR", type=types.path, help="labelled pairs of `mubert prepare`")
    add("--onset", metavar="FILE", type=types.path, nargs="+", help="images, instead of pairs")
    add("--apex", metavar="FILE", type=types.path, nargs="+", help="as many images")
    add(
        "--output",
        metavar="FILE",
        type=types.file,
        required=True,
        help="the picture (.png, .jpg, .pdf, ...)",
    )
    add(
        "--rows",
        metavar="N",
        type=types.count,
        default=4,  # as many as the paper shows
        help="pairs of the data set (%(default)s)",
    )
    add(
        "--methods",
        metavar="M",
        nargs="+",
        help="motion maps (raft and magnet where their weights are, else farneback and eulerian)",
    )
    flags.crop(parser)
    add("--align", choices=flags.ALIGN, help="register the apex to the onset (the config's)")


def run(args: Namespace, console: Console) -> None:
    import numpy as np

    from mubert_jax.data.video import read_images
    from mubert_jax.interop.opening import open_trained
    from mubert_jax.perception import figure7
    from mubert_jax.perception.perceive import PerceiveOptions, Session

    onsets, apexes = args.onset or [], args.apex or []
    if bool(args.pairs) == bool(onsets or apexes):
        raise UserError("give either --pairs=DIR or --onset=A ... and --apex=B ...")
    own = args.parser.get_default
    of_images = [x for x in ("crop", "detector", "margin") if getattr(args, x) != own(x)]
    if args.pairs and of_images:
        raise UserError(f"--{of_images[0]} is for --onset and --apex; pairs are cropped already")
    if onsets and args.rows != own("rows"):
        raise UserError("--rows is for --pairs; images are a row each")
    if len(onsets) != len(apexes):
        raise UserError(f"{len(onsets)} images for --onset, {len(apexes)} for --apex: give pairs")
    read = (*onsets, *apexes, args.checkpoint)
    check_output("--output", args.output, suffixes=PICTURES, inputs=read)
    seen_by, notes = figure7.methods(args.methods)
    trained = open_trained(args.checkpoint)
    options = PerceiveOptions(
        crop=args.crop, detector=args.detector, margin=args.margin, align=args.align
    )
    session = Session(trained, options)
    if args.pairs:
        shown = figure7.of_set(args.pairs, trained.config.model.image_size, args.rows)
    else:
        cut = []
        for pair in zip(onsets, apexes, strict=True):
            images = read_images(pair)
            cut.append(list(map(session.pair_cutter(images, *pair), images)))
        onset, apex = (np.stack(frames) for frames in zip(*cut, strict=True))
        shown = figure7.Shown(onset, apex, tuple(path.stem for path in onsets))
    maps = session.compare(shown.onset, shown.apex)
    figure7.draw(maps, shown.titles, seen_by, trained.scale, args.output)
    for note in (*notes, *session.notes):
        say(console, note)
    say(console, f"{len(maps)} pair(s): {args.output}")

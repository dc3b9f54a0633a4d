"""`mubert perceive`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.errors import UserError
from mubert_jax.outputs import ANIMATIONS, PICTURES, check_output

SUMMARY = "two images or a video -> maps of micro-movement"
EXAMPLE = "mubert perceive --onset=a.png --apex=b.png --output=maps.png"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    flags.trained(parser, "shipped")
    flags.frames(parser, "a video, instead of two images")
    add(
        "--output",
        metavar="FILE",
        type=types.file,
        required=True,
        help="the picture (.png, .jpg, .pdf, ...); arrays go beside it as .npz",
    )
    flags.crop(parser)
    add("--align", choices=flags.ALIGN, help="register the apex to the onset (the config's)")
    add("--map", choices=("calibrated", "diagonal"), help="how DMA is read (the config's)")
    add("--poi", choices=("focused", "attention"), help="how POI is read (the config's)")
    add(
        "--pairs",
        metavar="N",
        type=types.count,
        default=4,  # as many rows as a screen shows
        help="rows for a video (%(default)s)",
    )
    add(
        "--delta",
        metavar="N",
        type=types.count,
        help="frames from onset to apex in a video (the training's)",
    )
    add(
        "--animation",
        metavar="FILE",
        type=types.file,
        help="the maps of a whole video as a film, too (.gif, .mp4)",
    )
    add(
        "--scale",
        metavar="X",
        type=types.positive,
        help="movement at full colour (measured by the training)",
    )


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.interop.opening import open_trained
    from mubert_jax.perception import perceive

    flags.check_frames(args)
    read = (args.onset, args.apex, args.video, args.checkpoint)
    check_output("--output", args.output, suffixes=PICTURES, inputs=read)
    check_output("--output", args.output.with_suffix(".npz"), inputs=read)
    if args.animation:
        if not args.video:
            raise UserError("--animation is for a --video; two images have one row")
        check_output("--animation", args.animation, suffixes=ANIMATIONS, inputs=read)
    trained = open_trained(args.checkpoint)
    options = perceive.PerceiveOptions(
        crop=args.crop,
        detector=args.detector,
        margin=args.margin,
        align=args.align,
        map=args.map,
        poi=args.poi,
        pairs=args.pairs,
        delta=args.delta,
        scale=args.scale,
        animation=args.animation,
    )
    if args.video:
        perceive.perceive_video(trained, args.video, args.output, options, console)
    else:
        perceive.perceive_images(trained, args.onset, args.apex, args.output, options, console)

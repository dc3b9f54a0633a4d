"""`mubert predict`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.outputs import PICTURES, check_output

SUMMARY = "two images or a video -> the probability of each emotion"
EXAMPLE = "mubert predict --checkpoint=runs/casme2 --video=V.mp4 --output=prediction.png"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--checkpoint",
        metavar="FROM",
        type=types.checkpoint,
        required=True,
        help="a --workdir of finetune, or what `mubert export --recognizer` made of it",
    )
    flags.frames(parser, "a video that starts before the movement")
    add("--output", metavar="FILE", type=types.file, help="a picture of it (.png, .jpg, .pdf, ...)")
    flags.crop(parser)
    add(
        "--align",
        choices=flags.ALIGN,
        help="register the apex to the onset (as the training pairs)",
    )


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.perception.perceive import PerceiveOptions
    from mubert_jax.recognition.predict import Recognizer, draw, show

    flags.check_frames(args)
    if args.output:
        read = (args.onset, args.apex, args.video, args.checkpoint)
        check_output("--output", args.output, suffixes=PICTURES, inputs=read)
    options = PerceiveOptions(
        crop=args.crop, detector=args.detector, margin=args.margin, align=args.align
    )
    recognizer = Recognizer(args.checkpoint, options)
    if args.video:
        prediction = recognizer.of_video(args.video)
    else:
        prediction = recognizer.of_images(args.onset, args.apex)
    show(prediction, console)
    if args.output:
        draw(prediction, args.output)
        say(console, f"Picture: {args.output}")

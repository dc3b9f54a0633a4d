"""`mubert spot`."""

from argparse import Namespace
from typing import TYPE_CHECKING

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

if TYPE_CHECKING:  # NumPy, which the help does without
    import numpy as np

    from mubert_jax.spotting.pictures import Recognise

SUMMARY = "long videos -> when an expression happens, as tables and pages"
EXAMPLE = "mubert spot --video long.mp4 --output=spotted"


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    flags.trained(parser, "shipped")
    add("--video", metavar="FILE", type=types.path, nargs="+", help="one or more videos")
    add(
        "--input",
        metavar="DIR",
        type=types.path,
        help="instead, a prepared set, a folder of videos, or the frames of one (with --fps)",
    )
    add(
        "--output",
        metavar="DIR",
        type=types.path,
        required=True,
        help="intervals.csv, videos.csv, and NAME.csv, NAME.json and NAME.html of every video",
    )
    add(
        "--fps",
        metavar="X",
        type=types.positive,
        help="frames per second, whatever the videos say",
    )
    flags.crop(parser)
    flags.spotting_method(parser, flags.SPOTTING_RECIPES)
    add(
        "--rate",
        metavar="X",
        type=types.positive,
        default=30.0,
        help="frames per second that are looked at, about (%(default)g)",
    )
    add(
        "--threshold",
        metavar="X",
        type=types.positive,
        help="the lowest score, in multiples of the noise (by --false-alarms)",
    )
    add(
        "--false-alarms",
        metavar="X",
        type=types.positive,
        help="expected per minute of still video, as measured on synthetic people (0.5)",
    )
    add(
        "--recognizer",
        metavar="RUN",
        type=types.checkpoint,
        help="a `mubert finetune` run that names the emotion of every interval",
    )
    add(
        "--overlay",
        action="store_true",
        help="NAME.mp4, too: the frames, what moves in every interval, and a time bar",
    )
    add(
        "--jobs",
        metavar="N",
        type=types.count,
        default=1,  # one video keeps two processors busy
        help="videos at the same time (%(default)s)",
    )


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.spotting.footage import footage
    from mubert_jax.spotting.recordings import spot_recordings
    from mubert_jax.spotting.spotter import SpotOptions, Spotter

    if bool(args.video) == bool(args.input):
        raise UserError("give either --video=V or --input=DIR")
    if args.threshold and args.false_alarms:
        raise UserError("give either --threshold or --false-alarms; each makes the other")
    if args.false_alarms and args.method in flags.SPOTTING_RECIPES:
        raise UserError(
            f"--method={args.method} scores by the highest peak of a video, which is 1 even where "
            "nothing happens: no --false-alarms can be expected; give --threshold, up to 1"
        )
    check_output("--output", args.output, folder=True)
    if args.input and args.input.resolve() == args.output.resolve():
        raise UserError(f"--output={args.output} is what is read; take another folder")
    options = SpotOptions(
        method=args.method,
        crop=args.crop,
        detector=args.detector,
        margin=args.margin,
        rate=args.rate,
        threshold=args.threshold,
        **({"false_alarms": args.false_alarms} if args.false_alarms else {}),
    )
    recordings = footage(args.video or [], args.input, args.fps)
    trained = None
    if args.method == flags.SPOTTING_METHODS[0]:
        from mubert_jax.interop.opening import open_trained

        trained = open_trained(args.checkpoint)
    spotter = Spotter(trained, options, workers=1 if args.jobs > 1 else None)
    recognise = _recognizer(args.recognizer, spotter.comparison.size) if args.recognizer else None
    settings = vars(options) | {
        "threshold": options.least,
        "checkpoint": args.checkpoint if trained else None,
        "fps": args.fps,
        "recognizer": args.recognizer,
    }
    spot_recordings(
        recordings,
        spotter,
        args.output,
        settings,
        recognise,
        console,
        args.overlay,
        args.jobs,
    )


def _recognizer(run: str, size: int) -> "Recognise":
    """Onset and apex -> the probability of each emotion, by the recognizer of a run."""
    from mubert_jax.interop.opening import open_trained
    from mubert_jax.perception.perceive import PerceiveOptions, Session
    from mubert_jax.recognition.predict import Recognizer

    trained, options = open_trained(run), PerceiveOptions(crop="none")
    recognizer, session = Recognizer(run, options, trained), Session(trained, options)
    if trained.config.model.image_size != size:
        raise UserError(
            f"{run} reads faces of {trained.config.model.image_size} pixels, and faces are spotted "
            f"at {size}; give --checkpoint and --recognizer of one size"
        )

    def recognise(onset: "np.ndarray", apex: "np.ndarray") -> dict[str, float]:
        return recognizer.of_maps(session.compare(onset[None], apex[None])).probabilities

    return recognise

"""The `mubert` command: parses, calls one function, prints."""

import argparse
import logging
import sys
from pathlib import Path

from rich.console import Console

from mubert_jax.config import unknown
from mubert_jax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs `mubert VERB ...`: 0 when done, 2 after one line on what the user can mend."""
    # Orbax logs tracebacks of what reaches the user as one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, verbs = _parser()
    if not arguments:
        parser.print_help()
        return 0
    verb = arguments[0]
    try:
        if not verb.startswith("-") and verb not in verbs:
            raise unknown(f"verb {verb}", verb, verbs)
        args, rest = parser.parse_known_args(arguments)
        args.overrides = [a for a in rest if a.startswith("--config.") and "config" in args]
        for argument in rest:
            if argument not in args.overrides:
                flags = verbs[verb]._option_string_actions
                raise unknown(f"argument {argument}", argument.split("=")[0], flags)
        return args.run(args, Console()) or 0
    except UserError as error:
        print(f"mubert {verb}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _prepare(args, console) -> None:
    from mubert_jax.data.plan import PrepareOptions
    from mubert_jax.data.prepare import prepare

    options = PrepareOptions(
        size=args.size,
        crop=args.crop,
        detector=args.detector,
        margin=args.margin,
        encoding=args.encoding,
        align=args.align,
        workers=args.workers,
        exclude_subjects=tuple(args.exclude_subjects),
    )
    console.print(prepare(args.source, args.input, args.output, options, console))
    _say(
        console,
        f"Next: mubert pretrain --config=configs/pretrain.py --config.data.path={args.output} "
        f"--config.model.image_size={args.size} --workdir=runs/mine",
    )


def _pretrain(args, console) -> int:
    from mubert_jax.config_files import load_config
    from mubert_jax.training.preemption import EXIT_CODE, Preempted
    from mubert_jax.training.pretrain import run

    try:
        run(load_config(args.config, args.overrides), args.workdir, console)
    except Preempted as stopped:
        _say(console, f"mubert pretrain: {stopped}")
        return EXIT_CODE
    _say(
        console,
        f"Done: {args.workdir} (losses: {args.workdir / 'training.png'})\n"
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=perception.png",
    )
    return 0


def _perceive(args, console) -> None:
    from mubert_jax.perception import perceive

    options = perceive.PerceiveOptions(
        crop=args.crop,
        detector=args.detector,
        margin=args.margin,
        align=args.align,
        map=args.map,
        pairs=args.pairs,
        delta=args.delta,
        scale=args.scale,
    )
    if args.video:
        perceive.perceive_video(args.checkpoint, args.video, args.output, options, console)
    elif args.onset and args.apex:
        perceive.perceive_images(
            args.checkpoint, args.onset, args.apex, args.output, options, console
        )
    else:
        raise UserError("give --video=V, or both --onset=A and --apex=B")


def _export(args, console) -> None:
    from mubert_jax.interop.exporting import export

    export(args.checkpoint, args.format, args.output, args.recognizer, console)


def _import(args, console) -> None:
    from mubert_jax.interop.importing import import_weights

    if args.config is not None:
        raise UserError("--config takes no file here, only --config.KEY=VALUE for a key")
    import_weights(args.input, args.workdir, args.overrides, console)
    _say(
        console,
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=maps.png\n"
        "  or: mubert pretrain --config=FILE --workdir=DIR "
        f"--config.training.init_from={args.workdir}",
    )


def _bench(args, console) -> None:
    from mubert_jax import bench

    bench.run(args, console)


def _say(console, text):
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser and its verbs' parsers by name."""
    parser = _Parser(
        prog="mubert",
        description="Micron-BERT: facial micro-expressions from unlabelled video.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB")
    _prepare_arguments(
        _verb(
            verbs,
            "prepare",
            _prepare,
            "videos or images -> a data set of face frames",
            "mubert prepare video --input=videos/ --output=data/mine",
        )
    )
    _pretrain_arguments(
        _verb(
            verbs,
            "pretrain",
            _pretrain,
            "learn from unlabelled frames; started again, it goes on",
            "mubert pretrain --config=configs/pretrain.py --workdir=runs/mine "
            "--config.data.path=data/mine --config.training.batch_size=64",
        )
    )
    _perceive_arguments(
        _verb(
            verbs,
            "perceive",
            _perceive,
            "two images or a video -> maps of micro-movement",
            "mubert perceive --checkpoint=runs/mine --onset=a.png --apex=b.png --output=maps.png",
        )
    )
    _export_arguments(
        _verb(
            verbs,
            "export",
            _export,
            "a checkpoint -> PyTorch, safetensors, ONNX or StableHLO",
            "mubert export --checkpoint=runs/mine --format=torch --output=model.pth",
        )
    )
    _import_arguments(
        _verb(
            verbs,
            "import",
            _import,
            "an official .pth, or an export of ours -> a checkpoint",
            "mubert import --input=CASME2-is224-p8-b16-ep200.pth --workdir=runs/official",
        )
    )
    _bench_arguments(
        _verb(
            verbs,
            "bench",
            _bench,
            "speed and memory of the training step or of the input",
            "mubert bench step --config=configs/pretrain.py --batch-size=4",
        )
    )
    return parser, verbs.choices


def _verb(verbs, name, run, summary, example):
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _prepare_arguments(add):
    add = add.add_argument
    add("source", metavar="SOURCE", help="video (files) or frames (folders of images)")
    add("--input", metavar="PATH", type=Path, required=True, help="a file or folder")
    add("--output", metavar="DIR", type=Path, required=True, help="a new folder")
    add(
        "--size",
        metavar="N",
        type=int,
        default=224,
        help="side of the stored frames in pixels (%(default)s)",
    )
    _crop_arguments(add)
    add("--encoding", choices=("png", "jpeg"), default="png", help="jpeg is smaller, but noisy")
    add("--align", choices=("none", "ecc"), default="none", help="ecc: to the clip's first frame")
    add("--workers", metavar="N", type=int, help="threads (one a core)")
    add("--exclude-subjects", nargs="+", default=(), metavar="ID", help="subjects to leave out")


def _crop_arguments(add):
    add(
        "--crop",
        choices=("face", "center", "none"),
        default="face",
        help="what to cut out (%(default)s)",
    )
    add(
        "--detector", metavar="NAME", default="haar", help="haar, or the path of a YuNet .onnx file"
    )
    add(
        "--margin",
        metavar="X",
        type=float,
        default=0.3,
        help="added around the face, in faces (%(default)s)",
    )


def _pretrain_arguments(add):
    add = add.add_argument
    add(
        "--config",
        metavar="FILE",
        required=True,
        help="a file of configs/; --config.KEY=VALUE overrides a key",
    )
    add("--workdir", metavar="DIR", type=Path, required=True, help="the run's folder")


def _perceive_arguments(add):
    add = add.add_argument
    add(
        "--checkpoint",
        metavar="DIR",
        type=Path,
        required=True,
        help="the --workdir of a pretraining",
    )
    add("--onset", metavar="FILE", type=Path, help="the first image")
    add("--apex", metavar="FILE", type=Path, help="the second image")
    add("--video", metavar="FILE", type=Path, help="a video, instead of two images")
    add(
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="the picture; arrays go beside it as .npz",
    )
    _crop_arguments(add)
    add("--align", choices=("none", "ecc"), help="register the apex to the onset (the config's)")
    add("--map", choices=("calibrated", "diagonal"), help="how DMA is read (the config's)")
    add("--pairs", metavar="N", type=int, default=4, help="rows for a video (%(default)s)")
    add(
        "--delta",
        metavar="N",
        type=int,
        help="frames from onset to apex in a video (the training's)",
    )
    add(
        "--scale",
        metavar="X",
        type=float,
        help="movement at full colour (measured by the training)",
    )


def _export_arguments(add):
    add = add.add_argument
    add("--checkpoint", metavar="DIR", type=Path, required=True, help="a run's --workdir")
    add(
        "--format",
        choices=("torch", "safetensors", "onnx", "stablehlo"),
        required=True,
        help="torch, safetensors: a state dict under the official names; onnx, stablehlo: the "
        "whole computation, any batch size",
    )
    add(
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="the file; replaced if it is there",
    )
    add(
        "--recognizer",
        action="store_true",
        help="torch, safetensors: keep the recogniser, which the official classes do not load",
    )


def _import_arguments(add):
    add = add.add_argument
    add("--input", metavar="FILE", type=Path, required=True, help=".pth or .safetensors")
    add("--workdir", metavar="DIR", type=Path, required=True, help="a new run's folder")
    add(
        "--config.KEY",
        dest="config",
        metavar="VALUE",
        help="what the file does not show, or another image size",
    )


def _bench_arguments(add):
    add = add.add_argument
    add("what", choices=("step", "input"), help="step: a training step; input: the pipeline")
    add(
        "--config",
        metavar="FILE",
        default="configs/pretrain.py",
        help="sizes to run at (%(default)s)",
    )
    add(
        "--batch-size",
        metavar="B",
        type=int,
        nargs="+",
        default=[4],
        help="pairs a step (%(default)s)",
    )
    add(
        "--data",
        metavar="DIR",
        type=Path,
        help="input: a prepared folder; without one, noise frames are made",
    )
    add("--steps", metavar="N", type=int, default=5, help="step: timed steps (%(default)s)")
    add("--seconds", metavar="S", type=float, default=5.0, help="input: time of each measurement")
    add("--peer", choices=("none", "torch"), default="none", help="step: PyTorch eager beside")
    add("--output", metavar="FILE", type=Path, help="the figures as JSON")

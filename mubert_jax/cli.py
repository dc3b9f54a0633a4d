"""The `mubert` command: parses, calls one function, prints."""

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from mubert_jax import arguments
from mubert_jax.cli_prepare import prepare, say
from mubert_jax.config_values import unknown
from mubert_jax.errors import UserError, kind_of, readable
from mubert_jax.outputs import PICTURES, check_output
from mubert_jax.quiet import quiet


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
    words = sys.argv[1:] if words is None else words
    parser, verbs = _parser()
    if not words:
        parser.print_help()
        return 0
    verb = words[0]
    try:
        if not verb.startswith("-") and verb not in verbs:
            raise unknown(f"verb {verb}", verb, verbs)
        args, rest = parser.parse_known_args(words)
        args.overrides = [a for a in rest if a.startswith("--config.") and "config" in args]
        for argument in rest:
            if argument in args.overrides and "=" not in argument:
                raise UserError(f"{argument} has no value; write {argument}=VALUE, without a blank")
            if argument not in args.overrides:
                flags = verbs[verb]._option_string_actions
                raise unknown(f"argument {argument}", argument.split("=")[0], flags)
        with quiet("absl"):  # Orbax logs tracebacks of what reaches the user as one line
            return args.run(args, Console()) or 0
    except (UserError, OSError) as error:
        failure = readable(error)
        if failure is None:
            raise
        print(f"mubert {verb}: {failure}", file=sys.stderr)
        return kind_of(failure).exit_code


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _pretrain(args, console) -> int:
    from mubert_jax.training import pod
    from mubert_jax.training.preemption import EXIT_CODE, Preempted
    from mubert_jax.training.pretrain import run

    if args.pod:
        pod.join()
        console = console if pod.leads() else Console(quiet=True)
    (config,) = _configs(args, run, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        run(config, args.workdir, console)
    except Preempted as stopped:
        say(console, f"mubert pretrain: {stopped}")
        return EXIT_CODE
    say(
        console,
        f"Done: {args.workdir} (losses: {args.workdir / 'training.png'})\n"
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=perception.png",
    )
    return 0


def _perceive(args, console) -> None:
    from mubert_jax.interop.opening import open_trained
    from mubert_jax.perception import perceive

    _check_frames(args)
    read = (args.onset, args.apex, args.video, args.checkpoint)
    check_output("--output", args.output, suffixes=PICTURES, inputs=read)
    check_output("--output", args.output.with_suffix(".npz"), inputs=read)
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
    )
    if args.video:
        perceive.perceive_video(trained, args.video, args.output, options, console)
    else:
        perceive.perceive_images(trained, args.onset, args.apex, args.output, options, console)


def _check_frames(args):
    """Raises UserError unless either a video or two images are given."""
    if not args.video and not (args.onset and args.apex):
        raise UserError("give --video=V, or both --onset=A and --apex=B")
    if args.video and (args.onset or args.apex):
        raise UserError("give either --video=V or --onset=A and --apex=B, not both")
    if not args.video and getattr(args, "delta", None):
        raise UserError("--delta is for a --video; two images are as far apart as they are")


def _export(args, console) -> None:
    from mubert_jax.interop.exporting import export
    from mubert_jax.recognition.facts import emotions_of

    emotions = emotions_of(args.checkpoint) if args.recognizer else None
    export(args.checkpoint, args.format, args.output, args.recognizer, console, emotions)


def _import(args, console) -> None:
    from mubert_jax.interop.importing import import_weights

    if args.config is not None:
        raise UserError("--config takes no file here, only --config.KEY=VALUE for a key")
    check_output("--workdir", args.workdir, folder=True)
    import_weights(args.input, args.workdir, args.overrides, console)
    say(
        console,
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=maps.png\n"
        "  or: mubert pretrain --config=FILE --workdir=DIR "
        f"--config.training.init_from={args.workdir}",
    )


def _ablate(args, console) -> int:
    from mubert_jax.bench.ablation import Benchmark, ablate
    from mubert_jax.perception.benchmark import enough_subjects
    from mubert_jax.synthetic.nuisances import known_conditions
    from mubert_jax.training.preemption import EXIT_CODE, Preempted

    names = [Path(path).stem for path in args.configs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--configs holds {twice[0]} twice; files need names of their own")
    configs = dict(zip(names, _configs(args, ablate, args.configs), strict=True))
    benchmark = Benchmark(known_conditions(args.conditions), enough_subjects(args.subjects))
    check_output("--workdir", args.workdir, folder=True)
    try:
        ablate(configs, args.seeds, args.workdir, benchmark, console)
    except Preempted as stopped:
        say(console, f"mubert ablate: {stopped}")
        return EXIT_CODE
    say(console, f"Done: {args.workdir}/results.md, results.csv, results.png")
    return 0


def _finetune(args, console) -> int:
    from mubert_jax.recognition.kept import RESUME
    from mubert_jax.recognition.run import finetune, keeps, stored_options
    from mubert_jax.training.preemption import EXIT_CODE, sigterm_as_interrupt

    (config,) = _configs(args, finetune, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        with sigterm_as_interrupt():
            report = finetune(config, args.workdir, args.allow_leak, console)
    except KeyboardInterrupt:
        say(console, f"mubert finetune: stopped; {RESUME}")
        return EXIT_CODE
    _say_report(report, args.workdir, console)
    if keeps(config):
        crop = stored_options(Path(config.data.path)).get("crop", "face")
        say(
            console, f"Next: mubert predict --checkpoint={args.workdir} --crop={crop} --video=VIDEO"
        )
    return 0


def _predict(args, console) -> None:
    from mubert_jax.perception.perceive import PerceiveOptions
    from mubert_jax.recognition.predict import Recogniser, draw, show

    _check_frames(args)
    if args.output:
        read = (args.onset, args.apex, args.video, args.checkpoint)
        check_output("--output", args.output, suffixes=PICTURES, inputs=read)
    options = PerceiveOptions(
        crop=args.crop, detector=args.detector, margin=args.margin, align=args.align
    )
    recogniser = Recogniser(args.checkpoint, options)
    if args.video:
        prediction = recogniser.of_video(args.video)
    else:
        prediction = recogniser.of_images(args.onset, args.apex)
    show(prediction, console)
    if args.output:
        draw(prediction, args.output)
        say(console, f"Picture: {args.output}")


def _say_report(report, folder, console) -> None:
    say(console, "\n".join([report.title, *report.lines()]))
    say(console, f"Done: {folder}/results.html, results.md, results.csv, megc2019_seed*.txt")


def _evaluate(args, console) -> None:
    from mubert_jax.recognition.evaluate import evaluate_file, evaluate_logs, evaluate_run

    given = [name for name in ("workdir", "predictions", "megc_log") if getattr(args, name)]
    if len(given) != 1:
        raise UserError(
            "give either --workdir=DIR or --predictions=FILE --output=DIR or "
            "--megc-log FILE --output=DIR"
        )
    if args.workdir:
        for flag in ("output", "classes"):
            if getattr(args, flag) is not None:
                raise UserError(
                    f"--{flag} goes with --predictions and --megc-log, not with --workdir"
                )
        report, output = evaluate_run(args.workdir, args.published), args.workdir
    elif args.output is None:
        flag = given[0].replace("_", "-")
        raise UserError(f"--{flag} needs --output=DIR, the folder of the report")
    else:
        output = args.output
        check_output("--output", output, folder=True)
        evaluate, files = (evaluate_file, args.predictions)
        if args.megc_log:
            evaluate, files = (evaluate_logs, args.megc_log)
        report = evaluate(files, output, args.published, args.classes)
    _say_report(report, output, console)


def _bench(args, console) -> None:
    from mubert_jax import bench

    bench.run(args, console)


def _configs(args, function, paths) -> list:
    """What `function` reads of config files, overridden; refuses overrides that it does not."""
    from mubert_jax.config_files import load_part
    from mubert_jax.config_parts import read_by

    return load_part(read_by(function), paths, args.overrides, vars(args))


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser and its verbs' parsers by name."""
    parser = _Parser(
        prog="mubert",
        description="Micron-BERT: facial micro-expressions from unlabelled video.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB")
    for name, run, add_arguments, help, example in VERBS:
        add_arguments(_verb(verbs, name, run, help, example))
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


# Name, what it runs, its flags, what it does, an example.
VERBS = (
    (
        "prepare",
        prepare,
        arguments.prepare,
        "videos, images or a labelled data set -> records",
        "mubert prepare video --input=videos/ --output=data/mine",
    ),
    (
        "pretrain",
        _pretrain,
        arguments.pretrain,
        "learn from unlabelled frames; started again, it goes on",
        "mubert pretrain --config=configs/pretrain.py --workdir=runs/mine "
        "--config.data.path=data/mine --config.training.batch_size=64",
    ),
    (
        "perceive",
        _perceive,
        arguments.perceive,
        "two images or a video -> maps of micro-movement",
        "mubert perceive --onset=a.png --apex=b.png --output=maps.png",
    ),
    (
        "export",
        _export,
        arguments.export,
        "a checkpoint -> PyTorch, safetensors, ONNX or StableHLO",
        "mubert export --checkpoint=runs/mine --format=torch --output=model.pth",
    ),
    (
        "import",
        _import,
        arguments.import_,
        "an official .pth, or an export of ours -> a checkpoint",
        "mubert import --input=CASME2-is224-p8-b16-ep200.pth --workdir=runs/official",
    ),
    (
        "ablate",
        _ablate,
        arguments.ablate,
        "configs x seeds, trained and scored on known movements",
        "mubert ablate --configs configs/ablations/*.py --workdir=runs/ablations "
        "--config.data.path=data/synthetic",
    ),
    (
        "finetune",
        _finetune,
        arguments.finetune,
        "labelled pairs -> a recogniser, tested on subjects it never saw",
        "mubert finetune --config=configs/finetune.py --config.data.path=data/casme2 "
        "--workdir=runs/casme2",
    ),
    (
        "predict",
        _predict,
        arguments.predict,
        "two images or a video -> the probability of each emotion",
        "mubert predict --checkpoint=runs/casme2 --video=V.mp4 --output=prediction.png",
    ),
    (
        "evaluate",
        _evaluate,
        arguments.evaluate,
        "saved predictions -> UF1, UAR and a report",
        "mubert evaluate --workdir=runs/mine\n"
        "  mubert evaluate --predictions=theirs.csv --output=report --published=composite-3",
    ),
    (
        "bench",
        _bench,
        arguments.bench,
        "speed and memory of the training step or of the input",
        "mubert bench step --config=configs/pretrain.py --batch-size=4",
    ),
)

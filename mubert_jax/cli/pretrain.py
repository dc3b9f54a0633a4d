"""`mubert pretrain`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.outputs import check_output

SUMMARY = "learn from unlabelled frames; started again, it goes on"
EXAMPLE = (
    "mubert pretrain --config=configs/pretrain.py --workdir=runs/mine "
    "--config.data.path=data/mine --config.training.batch_size=64"
)


def add_flags(parser: Parser) -> None:
    flags.run(parser)
    parser.add_argument(
        "--pod", action="store_true", help="this is one of several processes; see launch/"
    )


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.pretraining.run import run as pretrain
    from mubert_jax.training import pod
    from mubert_jax.training.preemption import EXIT_CODE, Preempted

    if args.pod:
        pod.join()
        console = console if pod.leads() else Console(quiet=True)
    (config,) = flags.configs(args, pretrain, [args.config])
    check_output("--workdir", args.workdir, folder=True)
    try:
        pretrain(config, args.workdir, console)
    except Preempted as stopped:
        say(console, f"mubert pretrain: {stopped}")
        return EXIT_CODE
    say(
        console,
        f"Done: {args.workdir} (losses: {args.workdir / 'training.png'})\n"
        f"Next: mubert perceive --checkpoint={args.workdir} --video=VIDEO --output=perception.png",
    )
    return 0

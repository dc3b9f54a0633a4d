"""`mubert prepare flow`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli.parser import Parser, add_part
from mubert_jax.cli.say import say
from mubert_jax.errors import UserError
from mubert_jax.paths import SHIPPED

FLOW = "flow"
# Flags that say how flow is found, and what its maps are; published files hold maps.
FOUND = ("method", "checkpoint", "size", "normalise")


def add_to(parser: Parser) -> None:
    """Adds the source `flow`, which has other flags than the rest, to the parser of `prepare`."""
    flow = add_part(
        parser,
        FLOW,
        "labelled pairs, or published files -> u, v and optical strain",
        "mubert prepare flow --input=data/casme2 --output=data/casme2-flow",
    )
    flow.set_defaults(run=run)
    add = flow.add_argument
    add(
        "--input",
        metavar="DIR",
        type=types.path,
        required=True,
        help="labelled pairs, as `mubert prepare casme2` and the like make them",
    )
    add("--output", metavar="DIR", type=types.path, required=True, help="a new folder")
    add(
        "--layout",
        metavar="NAME",
        choices=("pairs", "published"),
        default="pairs",
        help="of --input: pairs, or published: three_norm_u_v_os/SUBJECT/u_test/LABEL/NAME.png",
    )
    add(
        "--method",
        metavar="NAME",
        help="farneback (default), tvl1, dis, raft, or displacement: what DMA tells",
    )
    add(
        "--checkpoint",
        metavar="FROM",
        type=types.checkpoint,
        help="displacement: a run, an exported file, or shipped (default)",
    )
    add("--size", metavar="N", type=types.count, help="side of the maps in cells (28)")
    add(
        "--normalise",
        metavar="HOW",
        choices=("per-channel", "pixels"),
        help="per-channel (default): each channel of a clip stretched to 0..255; or pixels",
    )
    add(
        "--export",
        metavar="KIND",
        choices=("png", "npz", "none"),
        help="also write png, the published layout (default for pairs), or npz, or none",
    )
    add(
        "--with-train",
        action="store_true",
        help="png: u_train, too: links to all clips of all others, per subject",
    )
    add("--workers", metavar="N", type=types.count, help="threads (one per core)")


def run(args: Namespace, console: Console) -> None:
    from mubert_jax.data.prepare_flow import FlowOptions, prepare_flow
    from mubert_jax.flow_maps import SIDE
    from mubert_jax.perception import flow_picture

    published = args.layout == "published"
    if published and (given := [name for name in FOUND if getattr(args, name) is not None]):
        raise UserError(
            f"--{given[0]} does not go with --layout=published: its files hold the maps already"
        )
    normalise = args.normalise or "per-channel"
    with_files = not published and normalise == "per-channel"
    options = FlowOptions(
        size=SIDE if args.size is None else args.size,
        normalise=normalise,
        export=args.export or ("png" if with_files else "none"),
        with_train=args.with_train,
        workers=args.workers,
    )
    method = None if published else _method(args)
    console.print(
        prepare_flow(args.input, args.output, method, options, console, flow_picture.draw)
    )
    say(
        console, f"Picture: {args.output}/flow.png; how the maps were made: {args.output}/report.md"
    )
    if options.size == SIDE:
        say(
            console,
            f"Next: mubert finetune --config=configs/recognition/ridge.py "
            f"--config.data.path={args.output} --workdir=runs/flow",
        )


def _method(args: Namespace):
    from mubert_jax.interop.opening import open_trained
    from mubert_jax.perception.flow_methods import DISPLACEMENT, flow_method

    name, trained = args.method or "farneback", None
    if name == DISPLACEMENT:
        trained = open_trained(args.checkpoint or SHIPPED)
    elif args.checkpoint:
        raise UserError(f"--checkpoint is for --method={DISPLACEMENT}")
    return flow_method(name, trained)

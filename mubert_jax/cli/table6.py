"""`mubert table6`."""

from argparse import Namespace

from rich.console import Console

from mubert_jax.cli import flag_types as types
from mubert_jax.cli import flags
from mubert_jax.cli.parser import Parser
from mubert_jax.cli.say import say
from mubert_jax.config_values import unknown
from mubert_jax.outputs import check_output

SUMMARY = "the paper's Table 6: pretrainings compared by recognition"
EXAMPLE = "mubert table6 --config.data.path=data/frames --pairs=data/casme2 --workdir=runs/table6"
SIZES = ("paper", "small")


def add_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--pairs",
        metavar="DIR",
        type=types.path,
        required=True,
        help="labelled pairs, as `mubert prepare` makes them",
    )
    flags.workdir(parser, "the folder of all runs and of the table")
    add("--rows", metavar="ROW", nargs="+", default=(), help="some rows by name (all)")
    add(
        "--size",
        choices=SIZES,
        default=SIZES[0],
        help="the paper's size, or one for two CPU cores (%(default)s)",
    )
    add("--steps", metavar="N", type=types.count, help="steps of every pretraining")
    add(
        "--seeds",
        metavar="N",
        type=types.count,
        default=1,
        help="pretrainings of each row (%(default)s)",
    )
    add(
        "--vit-s",
        metavar="FILE",
        type=types.path,
        help="weights of ViT-S: AugReg's .npz, timm's or DeiT's; without them its row is left out",
    )
    add(
        "--moco-v3",
        metavar="FILE",
        type=types.path,
        help="a checkpoint of MoCo v3's authors, ViT or ResNet; without it its row is left out",
    )
    add(
        "--tokenizer",
        metavar="RUN",
        type=types.path,
        help="whose tokens BEiT tells, such as DALL-E's (trained on the same frames first)",
    )
    add(
        "--allow-contamination",
        action="store_true",
        help="go on although the pretraining saw tested subjects, and stamp the table",
    )
    flags.overrides(parser, "overrides a key of all configs")


def run(args: Namespace, console: Console) -> int:
    from mubert_jax.bench.table6 import table6
    from mubert_jax.bench.table6_rows import (
        ROWS,
        SMALL_RECOGNITION,
        TOKENIZER,
        as_overrides,
        overrides_at_small_size,
    )
    from mubert_jax.config_files import key_of, load_config
    from mubert_jax.config_parts import only, read_by, refuse_unread
    from mubert_jax.recognition.kept_folds import RESUME
    from mubert_jax.training.preemption import EXIT_CODE, Preempted, sigterm_as_interrupt

    names = [row.name for row in ROWS]
    for name in args.rows:
        if name not in names:
            raise unknown(f"--rows {name}", name, names)
    flags_of_rows = {row.name: row.flag for row in ROWS if row.flag}
    given = {
        name: getattr(args, flag[2:].replace("-", "_")) for name, flag in flags_of_rows.items()
    }
    given = {name: path for name, path in given.items() if path}
    wanted = args.rows or [name for name in names if name not in flags_of_rows or name in given]
    rows = [row for row in ROWS if row.name in wanted]
    check_output("--workdir", args.workdir, folder=True)
    steps = [f"--config.training.steps={args.steps}"] if args.steps else []
    # Without any pretraining, the sizes of the untrained encoder are those of MB1.
    pretrained = {row.run: (row.config, row.small) for row in rows if row.config}
    pretrained = pretrained or {"mb1": ("configs/ablations/mb1.py", {})}
    tokens = [f"--config.objective.options.tokenizer={args.tokenizer}"] if args.tokenizer else []
    if "beit" in pretrained and not tokens:
        pretrained[TOKENIZER] = ("configs/baselines/vq_tokenizer.py", {})
    configs = {
        name: load_config(
            path,
            [
                *(overrides_at_small_size(name, small) if args.size == "small" else ()),
                *(tokens if name == "beit" else ()),
                *steps,
                *args.overrides,
            ],
        )
        for name, (path, small) in pretrained.items()
    }
    part, known = read_by(table6), args.parser.flags().values()
    refuse_unread(part, map(key_of, args.overrides), list(configs.values()), known)
    configs = {name: only(config, part) for name, config in configs.items()}
    of_recognition = [x for x in args.overrides if key_of(x).startswith("recognition.")]
    if args.size == "small":
        of_recognition = as_overrides(SMALL_RECOGNITION) + of_recognition
    recognition = load_config("configs/finetune_encoder.py", of_recognition).recognition
    try:
        with sigterm_as_interrupt():
            found = table6(
                configs,
                recognition,
                rows,
                args.pairs,
                args.seeds,
                args.workdir,
                args.allow_contamination,
                console,
                given,
            )
    except (KeyboardInterrupt, Preempted):
        say(console, f"mubert table6: stopped; {RESUME}")
        return EXIT_CODE
    console.print((args.workdir / "table6.md").read_text(), highlight=False, markup=False)
    say(console, f"Done: {args.workdir}/table6.html, table6.md, table6.csv, table6.png")
    return 1 if any(scored.failed for scored in found) else 0

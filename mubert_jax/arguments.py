"""The flags of every verb, one function a verb."""

from mubert_jax import flag_types as types
from mubert_jax.bench import BENCHES

ALIGN = ("none", "ecc", "robust")
# Flags of `prepare` for labelled sets.
LABELLED = ("annotation", "classes", "apex", "damaged", "lenient")
# Flags of `prepare synthetic`: fields of `Cast`.
CAST = {
    "subjects": "people (60)",
    "first_subject": "number of the first (0; from 100000: test)",
    "clips": "recordings of each (4)",
    "frames": "frames of each recording (24)",
    "conditions": "clean, drift, ... (lab, 1 in 4 busy-lab)",
    "seed": "another seed makes other people (0)",
}


def prepare(parser):
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="video, frames (images), synthetic (drawn people); labelled: casme2, samm, smic, "
        "casme3, megc2019, pairs",
    )
    add(
        "--input",
        metavar="PATH",
        nargs="+",
        action="extend",
        help="a file or folder; megc2019: casme2=DIR samm=DIR smic=DIR; synthetic: photos, "
        "a folder a person",
    )
    add("--output", metavar="DIR", type=types.path, required=True, help="a new folder")
    add(
        "--size",
        metavar="N",
        type=int,
        default=224,
        help="side of the stored frames in pixels (%(default)s)",
    )
    crop(parser)
    add(
        "--encoding",
        metavar="NAME",
        choices=("png", "jpeg"),
        default="png",
        help="png, or jpeg: smaller, but noisy",
    )
    add(
        "--align",
        metavar="HOW",
        choices=ALIGN,
        default="none",
        help="register to the clip's first frame: ecc or robust",
    )
    add("--workers", metavar="N", type=int, help="threads (one a core)")
    add("--exclude-subjects", nargs="+", default=(), metavar="ID", help="subjects to leave out")
    add(
        "--subject-folder",
        metavar="N",
        type=int,
        help="video, frames: which folder is the subject's (1)",
    )
    add("--annotation", metavar="PATH", action="append", help="labelled: sheet; pairs: table")
    add("--classes", metavar="N", type=int, help="labelled: 3 or 5; casme3: 3, 4 or 7")
    add("--apex", metavar="HOW", help="labelled, if not annotated: midpoint, auto")
    add(
        "--damaged",
        metavar="LIST",
        type=types.path,
        action="append",
        help="casme3: frames not to use",
    )
    add("--lenient", action="store_true", help="labelled: leave out doubtful clips")
    for name, text in CAST.items():
        kind = {"nargs": "+"} if name == "conditions" else {"type": int}
        add(f"--{name.replace('_', '-')}", help=f"synthetic: {text}", metavar="N", **kind)


def crop(parser):
    add = parser.add_argument
    add(
        "--crop",
        choices=("face", "center", "none"),
        default="face",
        help="what to cut out (%(default)s)",
    )
    add(
        "--detector",
        metavar="NAME",
        type=types.detector,
        default=types.HAAR,
        help="haar, or the path of a YuNet .onnx file",
    )
    add(
        "--margin",
        metavar="X",
        type=types.up_to(4),
        default=0.3,
        help="added around the face, in faces (%(default)s)",
    )


def pretrain(parser):
    add = parser.add_argument
    _run(add)
    add("--pod", action="store_true", help="this is one of several processes; see launch/")


def _run(add):
    add(
        "--config",
        metavar="FILE",
        type=types.path,
        required=True,
        help="a file of configs/; --config.KEY=VALUE overrides a key",
    )
    add("--workdir", metavar="DIR", type=types.path, required=True, help="the run's folder")


def _frames(add, video):
    add("--onset", metavar="FILE", type=types.path, help="the first image")
    add("--apex", metavar="FILE", type=types.path, help="the second image")
    add("--video", metavar="FILE", type=types.path, help=video)


def trained(parser, default=None, required=False):
    parser.add_argument(
        "--checkpoint",
        metavar="FROM",
        type=types.checkpoint,
        default=default,
        required=required,
        help="a run's --workdir, a file of `mubert export`, or shipped: the package's own weights"
        + (" (the default)" if default else ""),
    )


def perceive(parser):
    add = parser.add_argument
    trained(parser, "shipped")
    _frames(add, "a video, instead of two images")
    add(
        "--output",
        metavar="FILE",
        type=types.file,
        required=True,
        help="the picture (.png, .jpg, .pdf, ...); arrays go beside it as .npz",
    )
    crop(parser)
    add("--align", choices=ALIGN, help="register the apex to the onset (the config's)")
    add("--map", choices=("calibrated", "diagonal"), help="how DMA is read (the config's)")
    add("--poi", choices=("focused", "attention"), help="how POI is read (the config's)")
    add(
        "--pairs",
        metavar="N",
        type=types.count,
        default=4,
        help="rows for a video (%(default)s)",
    )
    add(
        "--delta",
        metavar="N",
        type=types.count,
        help="frames from onset to apex in a video (the training's)",
    )
    add(
        "--scale",
        metavar="X",
        type=types.positive,
        help="movement at full colour (measured by the training)",
    )


def export(parser):
    add = parser.add_argument
    trained(parser, required=True)
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
        type=types.file,
        required=True,
        help="the file; replaced if it is there",
    )
    add(
        "--recognizer",
        action="store_true",
        help="torch, safetensors: keep the recogniser, which the official classes do not load",
    )


def import_(parser):
    add = parser.add_argument
    add(
        "--input",
        metavar="FILE",
        type=types.checkpoint,
        required=True,
        help=".pth or .safetensors, of PyTorch or of `mubert export`",
    )
    add("--workdir", metavar="DIR", type=types.path, required=True, help="a new run's folder")
    add(
        "--config.KEY=VALUE",
        dest="config",
        metavar="",
        help="what the file does not show, or another image size",
    )


def ablate(parser):
    add = parser.add_argument
    add(
        "--configs",
        metavar="FILE",
        type=types.path,
        nargs="+",
        required=True,
        help="files of configs/",
    )
    add("--workdir", metavar="DIR", type=types.path, required=True, help="the folder of all runs")
    add(
        "--seeds",
        metavar="N",
        type=types.count,
        default=1,
        help="runs of each config (%(default)s)",
    )
    add("--config.KEY=VALUE", dest="config", metavar="", help="overrides a key of all configs")
    _benchmark(add)


def _benchmark(add):
    conditions = ["clean", "light", "drift", "all"]
    add("--conditions", nargs="+", default=conditions, metavar="NAME", help="what else changes")
    add("--subjects", metavar="N", type=types.count, default=24, help="test people (%(default)s)")


def finetune(parser):
    add = parser.add_argument
    _run(add)
    add(
        "--allow-leak",
        action="store_true",
        help="go on although the pretraining saw tested subjects, and stamp every table",
    )


def predict(parser):
    add = parser.add_argument
    add(
        "--checkpoint",
        metavar="FROM",
        type=types.checkpoint,
        required=True,
        help="a --workdir of finetune, or what `mubert export --recognizer` made of it",
    )
    _frames(add, "a video that starts before the movement")
    add("--output", metavar="FILE", type=types.file, help="a picture of it (.png, .jpg, .pdf, ...)")
    crop(parser)
    add("--align", choices=ALIGN, help="register the apex to the onset (as the training pairs)")


def evaluate(parser):
    add = parser.add_argument
    add(
        "--workdir",
        metavar="DIR",
        type=types.path,
        help="a recognition run; its report is written anew from its predictions.csv",
    )
    add(
        "--predictions",
        metavar="FILE",
        type=types.path,
        help="instead, another method's table: subject,clip,truth,prediction and, if there, "
        "dataset,seed,fold,probability_CLASS",
    )
    add(
        "--megc-log",
        metavar="FILE",
        type=types.path,
        nargs="+",
        help="instead, logs of MEGC2019, one a seed, such as megc2019_seed0.txt",
    )
    add("--output", metavar="DIR", type=types.path, help="else: the folder of the report")
    add(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="all classes, in label order (those of the table; of logs negative positive surprise)",
    )
    add(
        "--published",
        metavar="KEY",
        help="numbers to print beside: casme3-3, -4, -7, casme2-5, -3, samm-5, smic-3, composite-3",
    )


def bench(parser):
    add = parser.add_argument
    add(
        "what",
        choices=tuple(BENCHES),
        help="step: a training step; sizes: how it grows with image, width and depth; devices: "
        "what splitting it costs; checkpoint: what saving costs; folds: recognisers together and "
        "one by one; input: the pipeline; perception: maps of known movements; oracle: the same, "
        "beside a copy that was told the truth",
    )
    add(
        "--config",
        metavar="FILE",
        type=types.path,
        default="configs/pretrain.py",
        help="sizes to run at (%(default)s); not for perception and oracle",
    )
    add(
        "--batch-size",
        metavar="B",
        type=types.count,
        nargs="+",
        default=[4],
        help="pairs a step (%(default)s)",
    )
    add(
        "--data",
        metavar="DIR",
        type=types.path,
        help="input: a prepared folder; without one, noise frames are made",
    )
    add(
        "--steps",
        metavar="N",
        type=types.count,
        help="how many are timed; oracle: trained (1000)",
    )
    add(
        "--pairs",
        metavar="N",
        type=types.count,
        default=1500,
        help="oracle: to train on (%(default)s)",
    )
    add(
        "--seconds",
        metavar="S",
        type=types.positive,
        default=5.0,
        help="input: time of each measurement",
    )
    add(
        "--peer",
        choices=("torch", "torch-sdpa", "torch-compile"),
        nargs="+",
        default=[],
        help="step: PyTorch beside: plain eager, with fused attention, and compiled",
    )
    add("--output", metavar="FILE", type=types.file, help="the figures as JSON")
    add(
        "--picture",
        metavar="FILE",
        type=types.file,
        help="perception: what each method sees",
    )
    add(
        "--methods",
        metavar="M",
        nargs="+",
        help="perception: baselines: farneback, eulerian, ...",
    )
    trained(parser, None)
    _benchmark(add)
    add(
        "--size",
        metavar="N",
        type=types.count,
        default=112,
        help="perception: pixels (%(default)s)",
    )
    add(
        "--align",
        choices=ALIGN[1:],
        default="robust",
        help="perception: the registration that every method gets (%(default)s)",
    )

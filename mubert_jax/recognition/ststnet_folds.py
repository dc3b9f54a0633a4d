"""The folds of STSTNet (Liong et al., 2019) that its authors' PyTorch version leaves, tested here.

It leaves a file of weights per subject, SUBJECT.pth, of a network that was trained on all others.
That network pads its frames by 2 pixels and not by 1, as `networks.ststnet` does, reads its
channels as OpenCV does, the strain first, and keeps running statistics.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from rich.console import Console

from mubert_jax.data.files import writing_errors
from mubert_jax.data.flow_set import FlowSet
from mubert_jax.data.people import PROBABILITY
from mubert_jax.data.published_flow import CLASSES
from mubert_jax.errors import UserError
from mubert_jax.interop import files
from mubert_jax.recognition.kept_folds import RESUME
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Facts, Predictions
from mubert_jax.recognition.report import Report, evaluate_run

STREAMS = ("1", "2", "3")
EPSILON = 1e-5
# As PyTorch's layers of these names hold them.
_OF_STREAM = ("conv{}.weight", "conv{}.bias", "bn{}.weight", "bn{}.bias")
_STATISTICS = ("bn{}.running_mean", "bn{}.running_var")


def evaluate_folds(weights: Path, data: Path, workdir: Path, console: Console) -> Report:
    """Tests every subject of a flow set by the weights that were trained without it; a run's files.

    Args:
      weights: a folder of one SUBJECT.pth per subject.
      data: the flow set of the published files (`mubert prepare flow --layout=published`).
      workdir: a new or empty folder.

    Raises:
      UserError: a subject has no file; a file is damaged or holds another network; the data set
        is no flow set, of other channels, or has other classes than the weights.
    """
    clips = FlowSet(data)
    if clips.info.normalise != "per-channel":
        raise UserError(
            f"{data} holds flow in pixels; the weights of {weights} read channels from 0 to 255, "
            "as mubert prepare flow makes them by default"
        )
    if tuple(clips.classes) != CLASSES:
        raise UserError(
            f"{data} has the classes {', '.join(clips.classes)}; the weights know "
            f"{', '.join(CLASSES)}"
        )
    subject_P = np.array(clips.subject)
    paths = {subject: _file_of(weights, subject) for subject in sorted(set(clips.subject))}
    logits_PxC = np.empty((len(clips.label), len(CLASSES)), np.float32)
    for subject, path in paths.items():
        own = subject_P == subject
        logits_PxC[own] = logits(_tensors(path), clips.flow[own])
    console.print(f"{len(paths)} subjects tested, each by its own file", highlight=False)
    _leave(clips, logits_PxC, weights, workdir)
    return evaluate_run(workdir)


def logits(tensors: dict[str, np.ndarray], maps_Bx28x28x3: np.ndarray) -> jax.Array:
    """What the network says of flow maps (u, v, strain) from 0 to 255, (B, classes) float32."""
    parts = ([tensors[name.format(i)] for i in STREAMS] for name in (*_OF_STREAM, *_STATISTICS))
    kernel, bias, scale, shift, mean, variance = (np.concatenate(part) for part in parts)
    x = jax.lax.conv_general_dilated(
        jnp.asarray(maps_Bx28x28x3, jnp.float32)[..., ::-1],
        jnp.asarray(kernel),
        (1, 1),
        ((2, 2), (2, 2)),
        dimension_numbers=("NHWC", "OIHW", "NCHW"),
        precision=jax.lax.Precision.HIGHEST,
    )
    x = jax.nn.relu(x + bias[:, None, None])
    factor = scale / np.sqrt(variance + EPSILON)
    x = (x - mean[:, None, None]) * factor[:, None, None] + shift[:, None, None]
    window, border = (1, 1, 3, 3), ((0, 0), (0, 0), (1, 1), (1, 1))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, border)
    batch, channels, side, _ = x.shape
    x = x.reshape(batch, channels, side // 2, 2, side // 2, 2).mean((3, 5)).reshape(batch, -1)
    return jnp.dot(x, tensors["fc.weight"].T, precision="highest") + tensors["fc.bias"]


def _file_of(folder: Path, subject: str) -> Path:
    path = folder / f"{subject.rsplit('/', 1)[-1]}.pth"
    if not path.is_file():
        raise UserError(f"{folder} has no {path.name}, by which subject {subject} would be tested")
    return path


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, checked against the network."""
    tensors = dict(files.read(path).tensors)
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (len(CLASSES), 400)}
    shapes["fc.bias"] = (len(CLASSES),)
    for i, width in zip(STREAMS, (3, 5, 8), strict=True):
        shapes |= {name.format(i): (width,) for name in (*_OF_STREAM[1:], *_STATISTICS)}
        shapes[f"conv{i}.weight"] = (width, 3, 3, 3)
    for name, shape in shapes.items():
        if name not in tensors:
            raise UserError(f"{path} holds no STSTNet: it lacks {name}")
        if tensors[name].shape != shape:
            raise UserError(
                f"{path} holds no STSTNet of {len(CLASSES)} classes: {name} is "
                f"{tensors[name].shape}, not {shape}"
            )
    return tensors


def _leave(clips: FlowSet, logits_PxC: np.ndarray, weights: Path, workdir: Path) -> None:
    chances = np.asarray(jax.nn.softmax(logits_PxC))
    table = pd.DataFrame(
        {
            "dataset": clips.dataset,
            "subject": clips.subject,
            "clip": clips.clip,
            "seed": 0,
            "fold": clips.subject,
            "truth": [clips.classes[i] for i in clips.label],
            "prediction": [clips.classes[i] for i in chances.argmax(1)],
        }
    )
    for i, name in enumerate(clips.classes):
        table[f"{PROBABILITY}{name}"] = chances[:, i]
    with writing_errors(workdir, RESUME):
        workdir.mkdir(parents=True, exist_ok=True)
        Predictions(table, tuple(clips.classes)).save(workdir / PREDICTIONS_FILE)
        Facts(
            classes=tuple(clips.classes),
            protocol="loso",
            stamps=(
                f"By the weights in {weights}, which others trained: that no file saw its own "
                "subject is what they say.",
            ),
        ).save(workdir)

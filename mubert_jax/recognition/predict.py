"""`mubert predict`: the emotion in an onset and an apex, or in a video, whose apex is searched."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from mubert_jax.data.faces import SAMPLED_FRAMES
from mubert_jax.data.people import merged_classes
from mubert_jax.data.video import read_images, read_video, sample_video
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.images import normalise
from mubert_jax.paths import SHIPPED
from mubert_jax.perception import render
from mubert_jax.perception.maps import Maps
from mubert_jax.perception.perceive import CANDIDATES, PerceiveOptions, Session
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition.magnified import magnified
from mubert_jax.recognition.predictions import FACTS_FILE, emotions_of


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction of a recognizer for one pair.

    Attributes:
      probabilities: class -> probability, not calibrated; the most probable first.
      maps: what DMA and POI see in the pair.
      frames: the numbers of onset and apex in their video; None for two images.
      numbers, strength: the frames (T,) of a video and the movement in each since the onset (T,);
        None for two images.
      notes: what a reader has to know.
    """

    probabilities: dict[str, float]
    maps: Maps
    frames: tuple[int, int] | None = None
    numbers: np.ndarray | None = None
    strength: np.ndarray | None = None
    notes: tuple[str, ...] = ()


class Recognizer:
    """The recognizer in a fine-tuned run's folder or in an export of it.

    Args:
      trained: The opened checkpoint, if it is open already.

    Raises:
      UserError: there is no checkpoint, it has no recognizer, or its classes have no names.
    """

    def __init__(
        self, checkpoint: str | Path, options: PerceiveOptions, trained: Trained | None = None
    ):
        _check_that_one_was_kept(Path(checkpoint))
        trained = trained or open_trained(checkpoint)
        self.classes = trained.emotions or emotions_of(checkpoint) or ()
        if not trained.config.model.recognizer.classes:
            raise UserError(_no_recognizer(checkpoint, trained.config.model.image_size))
        if len(self.classes) != trained.config.model.recognizer.classes:
            raise UserError(
                f"{checkpoint} holds a recognizer and no names for its "
                f"{trained.config.model.recognizer.classes} classes; give the --workdir of the "
                "mubert finetune that made it, or export it from there again"
            )
        self._session = Session(trained, options)
        self._magnification = trained.config.recognition.magnification

        @jax.jit
        def probabilities(onset: jax.Array, apex: jax.Array) -> jax.Array:
            frames = normalise(onset), normalise(apex)
            logits: Any = trained.model.apply({"params": trained.params}, *frames, method="logits")
            return jax.nn.softmax(logits)

        self._probabilities = probabilities

    def of_images(self, onset: Path, apex: Path) -> Prediction:
        """The prediction for two image files."""
        images = read_images([onset, apex])
        cut = self._session.pair_cutter(images, onset, apex)
        return self.of_maps(self._session.compare(cut(images[0])[None], cut(images[1])[None]))

    def of_video(self, video: Path) -> Prediction:
        """The prediction for a video, whose first frame is taken as the onset.

        The apex is the frame in which DMA × POI sees most movement since then, among up to
        `CANDIDATES` evenly spaced frames.
        """
        numbers = np.array([number for number, _ in read_video(video)])
        count = len(numbers)
        if count < 2:
            raise UserError(f"{video} has {count} frame; a movement takes two")
        cut = self._session.cutter(sample_video(video, SAMPLED_FRAMES), video)
        spread = np.linspace(0, count - 1, min(CANDIDATES, count))
        numbers = numbers[np.unique(spread.astype(int))]
        needed = set(numbers)
        frames = np.stack([cut(x) for number, x in read_video(video) if number in needed])
        maps = self._session.compare(np.repeat(frames[:1], len(frames), 0), frames)
        strength = maps.dma_poi.mean((1, 2))
        if not strength.max() > 0:
            raise UserError(f"{video}: nothing moves between its first frame and any other")
        apex = int(strength.argmax())
        found = self.of_maps(maps.take([apex]))
        moments = (int(numbers[0]), int(numbers[apex]))
        return dataclasses.replace(found, frames=moments, numbers=numbers, strength=strength)

    def of_maps(self, maps: Maps) -> Prediction:
        """The prediction for one pair whose maps are known."""
        seen = magnified(maps.onset, maps.apex, self._magnification)
        chances = np.asarray(self._probabilities(*seen))[0]
        names, _ = merged_classes(self.classes)
        probabilities = dict.fromkeys(names, 0.0)
        for name, chance in zip(names, chances, strict=True):
            probabilities[name] += float(chance)
        order = sorted(probabilities, key=lambda name: -probabilities[name])
        probabilities = {name: probabilities[name] for name in order}
        return Prediction(probabilities, maps, notes=tuple(self._session.notes))


def _check_that_one_was_kept(run: Path):
    if (run / FACTS_FILE).exists() and not (run / "checkpoints").exists():
        raise UserError(
            f"{run} has kept no recognizer: it has not finished (start it again), or "
            "its network is one to compare with, such as a linear probe on a motion map"
        )


def _no_recognizer(checkpoint: str | Path, size: int) -> str:
    start, what = "", f"{checkpoint} holds no recognizer"
    if checkpoint == SHIPPED:
        what = "the package has no recognizer: it knows no labelled faces"
    else:
        start = f" --config.training.init_from={checkpoint}"
    return (
        f"{what}; make one from labelled pairs: mubert prepare pairs --annotation=TABLE.csv "
        f"--size={size} --output=PAIRS (or casme2, samm, smic, casme3), then mubert finetune "
        f"--config=configs/finetune.py{start} --config.data.path=PAIRS --workdir=RUN, then "
        "mubert predict --checkpoint=RUN"
    )


def show(prediction: Prediction, console: Console) -> None:
    """Prints the notes, the probabilities, and the apex of a video."""
    for note in prediction.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    table = Table(title="mubert predict")
    table.add_column("emotion")
    table.add_column("probability", justify="right")
    for name, chance in prediction.probabilities.items():
        table.add_row(name, f"{chance:.2f}")
    console.print(table)
    if prediction.frames:
        console.print("onset: frame {}, apex: frame {}".format(*prediction.frames), highlight=False)


def _draw_timeline(axis: Axes, numbers: np.ndarray, strength: np.ndarray, apex: int):
    axis.plot(numbers, strength, color="0.2", linewidth=1.2)
    axis.axvline(apex, color="#d1495b", label=f"apex, {apex}")
    axis.set_xlabel("frame")
    axis.set_ylabel("moved since\nthe first frame")
    axis.margins(x=0)
    axis.legend(loc="upper left", frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def draw(prediction: Prediction, output: Path) -> None:
    """Writes a picture: the timeline of a video, onset, apex, DMA × POI, and the probabilities."""
    frames, numbers, strength = prediction.frames, prediction.numbers, prediction.strength
    timed = frames is not None
    figure = plt.figure(figsize=(10, 5.2 if timed else 2.9), layout="constrained")
    rows = figure.add_gridspec(1 + timed, 4, height_ratios=[2, 3] if timed else [1])
    if frames is not None and numbers is not None and strength is not None:
        _draw_timeline(figure.add_subplot(rows[0, :]), numbers, strength, frames[1])
    maps = prediction.maps
    pictures = {"onset": maps.onset[0], "apex": maps.apex[0]}
    for column, (name, image) in enumerate(pictures.items()):
        axis = figure.add_subplot(rows[-1, column])
        axis.imshow(image)
        axis.set(title=name, xticks=[], yticks=[])
    axis = figure.add_subplot(rows[-1, 2])
    shown = maps.apex[0], maps.dma_poi[0], float(maps.dma_poi.max()) or 1.0
    render.over_frame(axis, *shown)
    render.draw_arrows(axis, *shown, maps.displacement[0])
    axis.set(title="DMA × POI, own scale", xticks=[], yticks=[])
    axis = figure.add_subplot(rows[-1, 3])
    names, chances = zip(*reversed(prediction.probabilities.items()), strict=True)
    axis.barh(names, chances, color="#30638e")
    axis.set(xlim=(0, 1), title="probability")
    axis.spines[["top", "right"]].set_visible(False)
    render.save(figure, output)

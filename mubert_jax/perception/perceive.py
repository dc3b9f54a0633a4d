"""`mubert perceive`: two images or a video -> one picture and one .npz of maps."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.faces import (
    SAMPLED_FRAMES,
    center_box,
    clip_box,
    make_detector,
)
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.shards import crop_frame
from mubert_jax.data.video import frame_rate, read_images, read_video, sample_video
from mubert_jax.errors import UserError
from mubert_jax.perception import render
from mubert_jax.perception.animation import write_animation
from mubert_jax.perception.maps import Maps, Perceiver
from mubert_jax.perception.trained import Trained

# Pairs of a video that are compared at most: more miss fewer short movements, and take longer.
CANDIDATES = 256
# Pairs per second of a moving picture: beyond, players drop some.
SMOOTH = 30.0
OWN_SCALE = "m, own scale"


@dataclasses.dataclass(frozen=True)
class PerceiveOptions:
    """How frames are cropped, compared and shown.

    Attributes:
      crop, detector, margin: As for `mubert prepare`; use what the training data were made with.
      align: none | ecc | robust | poi; None takes the checkpoint's `perception.align`.
      map: calibrated | diagonal; None takes the checkpoint's `perception.map`.
      poi: focused | attention; None takes the checkpoint's `perception.poi`.
      pairs: The rows of the picture, for a video.
      delta: The frames between onset and apex, for a video; None takes the middle of the training's
        range.
      scale: The movement shown at full colour; None takes what the training measured or, for
        weights that came without a scale, the pairs' own.
      animation: A file that shows the maps of the whole video, too; None for none.
    """

    crop: str = "face"
    detector: str = "haar"
    margin: float = 0.3
    align: str | None = None
    map: str | None = None
    poi: str | None = None
    pairs: int = 4
    delta: int | None = None
    scale: float | None = None
    animation: Path | None = None


def perceive_images(
    trained: Trained,
    onset: Path,
    apex: Path,
    output: Path,
    options: PerceiveOptions,
    console: Console,
) -> None:
    """Writes maps of one onset/apex pair, as `Session.write` does."""
    session = Session(trained, options)
    images = read_images([onset, apex])
    cut = session.pair_cutter(images, onset, apex)
    maps = session.compare(cut(images[0])[None], cut(images[1])[None])
    session.write(maps, [onset.stem], np.array([[0, 1]]), output, console)


def perceive_video(
    trained: Trained, video: Path, output: Path, options: PerceiveOptions, console: Console
) -> None:
    """Writes maps of the moments of a video that move most and, as the last row, of the stillest.

    Up to `CANDIDATES` pairs of frames δ apart, spread evenly, are compared; rows are at least δ
    apart.
    """
    session = Session(trained, options)
    delta = options.delta or sum(session.config.data.delta) // 2
    numbers = np.array([number for number, _ in read_video(video)])
    starts = numbers[np.isin(numbers + delta, numbers)]
    if not len(starts):
        raise UserError(
            f"{video} has {len(numbers)} frames, not more than δ = {delta}; give a smaller --delta"
        )
    cut = session.cutter(sample_video(video, SAMPLED_FRAMES), video)
    spread = np.linspace(0, len(starts) - 1, min(CANDIDATES, len(starts)))
    starts = starts[np.unique(spread.astype(int))]
    needed = {*starts, *(starts + delta)}
    frames = {number: cut(image) for number, image in read_video(video) if number in needed}
    onsets, apexes = (np.stack([frames[i] for i in which]) for which in (starts, starts + delta))
    maps = session.compare(onsets, apexes)
    rows = _moments(maps.dma_poi.mean((1, 2)), starts, delta, options.pairs)
    numbers = np.stack([starts[rows], starts[rows] + delta], axis=1)
    titles = [f"frames {first} → {second}" for first, second in numbers]
    titles[-1] = f"stillest: {titles[-1]}"
    session.write(maps.take(rows), titles, numbers, output, console)
    if options.animation:
        share = len(starts) / (starts[-1] - starts[0] + 1)
        session.animate(maps, share * frame_rate(video), options.animation, console)


def _moments(energy: np.ndarray, starts: np.ndarray, delta: int, count: int):
    """Rows of the strongest pairs at least δ apart, strongest first, and the weakest last."""
    weakest = int(np.argmin(energy))
    chosen: list[int] = []
    for row in np.argsort(-energy):
        apart = all(abs(starts[row] - starts[other]) >= delta for other in (*chosen, weakest))
        if len(chosen) < count - 1 and apart:
            chosen.append(int(row))
    return [*chosen, weakest]


class Session:
    """A model, and the options with which it looks at frames.

    Attributes:
      config: The config that the model was trained with.
      notes: What a reader of the maps has to be told.
    """

    def __init__(self, trained: Trained, options: PerceiveOptions):
        self.config = trained.config
        self._options = options
        asked = {name: getattr(options, name) for name in ("map", "align", "poi")}
        self._reading: PerceptionConfig = dataclasses.replace(
            self.config.perception, **{name: value for name, value in asked.items() if value}
        )
        self._perceiver = Perceiver(trained.model, trained.params, self._reading)
        self._measured_scale = trained.scale
        self.notes: list[str] = []

    def pair_cutter(
        self, images: Sequence[np.ndarray], onset: Path, apex: Path
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Like `cutter`, for two image files; notes if they are the same."""
        first, second = images
        if np.array_equal(first, second):
            self._note(f"{onset} and {apex} are the same frame: there is no movement to see")
        return self.cutter(images, f"{onset} or {apex}")

    def cutter(
        self, sample: Sequence[np.ndarray], source: str | Path
    ) -> Callable[[np.ndarray], np.ndarray]:
        """A function that crops images to (S, S, 3) uint8, S the model's size, by one box for all.

        The box is found in `sample`, in pixels of its first image; other images of that aspect
        ratio are resized to its size. `source` is where they are from, for messages.
        """
        options, size, box = self._options, self.config.model.image_size, None
        if options.crop == "face":
            box = clip_box(sample, make_detector(options.detector), options.margin)
            if box is None:
                raise UserError(
                    f"no face found in {source}; if the frames are faces already, add --crop none"
                )
        elif options.crop == "center":
            box = center_box(sample[0])

        def cut(image: np.ndarray):
            self._check_size(image, sample[0], source)
            return crop_frame(image, sample[0].shape[:2], box, size)

        return cut

    def _check_size(self, image: np.ndarray, first: np.ndarray, source: str | Path):
        (height, width), (first_height, first_width) = image.shape[:2], first.shape[:2]
        if (height, width) == (first_height, first_width):
            return
        sizes = f"{first_width}x{first_height}", f"{width}x{height}"
        apart = abs(width * first_height - first_width * height)
        if apart > max(height, width, first_height, first_width):  # more than a pixel at one side
            raise UserError(
                f"{source}: images of {sizes[0]} and of {sizes[1]} pixels are not the same picture "
                "in two sizes; cut them alike first"
            )
        self._note(
            f"{source}: images of {sizes[1]} pixels are brought to the {sizes[0]} of the first"
        )

    def _note(self, text: str):
        if text not in self.notes:
            self.notes.append(text)

    def compare(self, onset: np.ndarray, apex: np.ndarray) -> Maps:
        """The maps of cropped frames (P, S, S, 3), each apex registered to its onset first."""
        return self._perceiver(onset, apex)

    def write(
        self,
        maps: Maps,
        titles: Sequence[str],
        numbers: np.ndarray,
        output: Path,
        console: Console,
    ) -> None:
        """Writes `output` as a picture and, beside it, a file of arrays of the same name with .npz.

        The arrays are those of `Maps`, and `frames` (P, 2), the frame `numbers` of onset and apex.
        """
        for note in self.notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)
        limit, label = self._limit(maps)
        if label == OWN_SCALE:
            console.print(
                f"No scale was measured for this checkpoint: full colour is {limit:.3g}, the "
                "strongest hundredth of these pairs, so still pairs look lively; --scale=X fixes "
                "it",
                soft_wrap=True,
            )
        arrays = output.with_suffix(".npz")
        columns = [
            *render.frames(maps),
            render.difference(maps),
            *render.learned(maps, limit, label),
        ]
        render.panel(columns, maps.apex, titles, output)
        fields = {f.name: getattr(maps, f.name) for f in dataclasses.fields(maps)}
        with writing_errors(arrays, "choose another --output"), replacing(arrays) as temporary:
            with temporary.open("wb") as file:
                np.savez_compressed(file, frames=numbers, **fields)
        console.print(
            f"Maps of {len(maps)} pair(s): {output}, arrays: {arrays}", markup=False, soft_wrap=True
        )

    def animate(self, maps: Maps, fps: float, path: Path, console: Console) -> None:
        """Writes all pairs of a video as a film, in slow motion above `SMOOTH` per second.

        Full colour is that of the panel's last column: DMA's where POI is twice its mean.
        """
        limit = 2 * self._limit(maps)[0]
        write_animation(maps, limit, min(fps, SMOOTH), path)
        console.print(f"All {len(maps)} pairs as a film: {path}", markup=False, soft_wrap=True)

    def _limit(self, maps: Maps) -> tuple[float, str]:
        """DMA at full colour, and what its values are."""
        if self._reading.map == "diagonal":
            return 1.0, "1 - diag(Â)"
        scale = self._options.scale or self._measured_scale
        if scale is not None:
            return scale, "calibrated map m"
        return float(np.percentile(maps.dma, 99)) or 1.0, OWN_SCALE

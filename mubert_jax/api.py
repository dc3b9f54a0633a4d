"""The package from Python: open a model, look at two frames, read a video."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mubert_jax.config import Config
from mubert_jax.data.video import read_image
from mubert_jax.data.video import read_video as frames_of
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.recognizer import STILL
from mubert_jax.perception.maps import Maps
from mubert_jax.perception.perceive import PerceiveOptions, Session
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition.backbone import features as forward_features
from mubert_jax.recognition.predict import Prediction, Recognizer
from mubert_jax.spotting.footage import footage
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.spotter import SpotOptions, Spotter

# A path, one image (H, W, 3) or several (P, H, W, 3), uint8 RGB of any size.
Frames = str | Path | np.ndarray | Sequence[np.ndarray]


def load(checkpoint: str | Path = "shipped") -> "Model":
    """Opens the package's own weights ("shipped"), a run's folder, or a file of `mubert export`.

    Raises:
      UserError: there is no checkpoint, or it is damaged.
    """
    return Model(checkpoint, open_trained(checkpoint))


def read_video(path: str | Path) -> np.ndarray:
    """All frames of a video, (T, H, W, 3) uint8 RGB.

    Raises:
      UserError: it cannot be read.
    """
    return np.stack([image for _, image in frames_of(path)])


class Model:
    """A trained Micron-BERT.

    Attributes:
      config: as it was trained.
      params: its weights, as `flax` has them.
      classes: what its recognizer tells apart; () without one.
    """

    def __init__(self, checkpoint: str | Path, trained: Trained):
        self._checkpoint, self._trained = checkpoint, trained
        self._sessions: dict[PerceiveOptions, Session] = {}
        self._recognizers: dict[PerceiveOptions, Recognizer] = {}

    @property
    def config(self) -> Config:
        return self._trained.config

    @property
    def params(self) -> dict:
        return self._trained.params

    @property
    def classes(self) -> tuple[str, ...]:
        if not self.config.model.recognizer.classes:
            return ()
        return tuple(self._recognizer(PerceiveOptions()).classes)

    def maps(
        self, onset: Frames, apex: Frames, *, crop: str = "face", align: str | None = None
    ) -> Maps:
        """What DMA and POI see between onset and apex, of one pair or of several.

        Args:
          onset, apex: frames of any size, cut alike.
          crop: "face" finds one box for both frames, "center" takes the middle square, "none" takes
            frames that are cropped already.
          align: how the apex is registered to the onset: "robust", "poi", "ecc" or "none"; None
            takes what the model was trained to be looked at with.

        Raises:
          UserError: no face is found, or the frames are not of one size.
        """
        session = self._session(PerceiveOptions(crop=crop, align=align))
        onsets, apexes = _images(onset), _images(apex)
        if len(onsets) != len(apexes):
            raise UserError(f"{len(onsets)} onset(s) and {len(apexes)} apex(es); give pairs")
        cut_pairs = []
        for pair in zip(onsets, apexes, strict=True):
            cut = session.cutter(list(pair), "the frames")
            cut_pairs.append([cut(image) for image in pair])
        first, second = (np.stack(images) for images in zip(*cut_pairs, strict=True))
        return session.compare(first, second)

    def features(
        self, onset: Frames, apex: Frames, *, crop: str = "face", align: str | None = None
    ) -> np.ndarray:
        """(P, F) float32 for a classifier: what the model's recognizer reads.

        Without a recognizer, it is how far each patch moved to the right and down, in pixels,
        (P, 2N); where DMA reads tokens, the logarithm of the calibrated map, (P, N).
        """
        maps = self.maps(onset, apex, crop=crop, align=align)
        if self.config.model.recognizer.classes:
            model, params = self._trained.model, self.params
            return np.asarray(forward_features(model, params, maps.onset, maps.apex))
        if self.config.model.dma.reads != "tokens":
            return maps.displacement.reshape(len(maps), -1)
        return np.log(maps.dma + STILL).reshape(len(maps), -1)

    def predict(
        self, onset: Frames, apex: Frames, *, crop: str = "face", align: str | None = None
    ) -> Prediction:
        """The emotion of one pair, by the model's recognizer.

        Raises:
          UserError: the model has no recognizer; see `mubert finetune`.
        """
        maps = self.maps(onset, apex, crop=crop, align=align)
        if len(maps) != 1:
            raise UserError(f"predict takes one pair, not {len(maps)}")
        return self._recognizer(PerceiveOptions(crop=crop, align=align)).of_maps(maps)

    def spot(
        self, video: str | Path, *, crop: str = "face", threshold: float | None = None
    ) -> Iterator[Found]:
        """When something comes and goes in a face, as soon as a stretch of the video is over.

        What is found is a micro- or a macro-expression, a blink, or speech; see `Found.what`.

        Args:
          video: a file of any length.
          crop: as for `maps`; a face is followed from box to box.
          threshold: the lowest score; None takes that of `mubert spot`.

        Raises:
          UserError: the video cannot be read, is too slow or too short, or shows no face.
        """
        options = SpotOptions(crop=crop, threshold=threshold)
        (recording,) = footage([Path(video)])
        found = Spotter(self._trained, options)(recording)
        return (one for one in found if one.score >= options.least)

    def _session(self, options: PerceiveOptions) -> Session:
        if options not in self._sessions:
            self._sessions[options] = Session(self._trained, options)
        return self._sessions[options]

    def _recognizer(self, options: PerceiveOptions) -> Recognizer:
        if options not in self._recognizers:
            self._recognizers[options] = Recognizer(self._checkpoint, options, self._trained)
        return self._recognizers[options]


def _images(frames: Frames) -> list[np.ndarray]:
    """One or several images, (H, W, 3) uint8 each."""
    if isinstance(frames, str | Path):
        return [read_image(Path(frames))]
    one = np.ndim(frames[0]) == 2
    images = [np.asarray(image) for image in ([frames] if one else frames)]
    for image in images:
        if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
            raise UserError(f"frames are (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
    return images

"""What a pretrained μ-BERT sees between two frames: DMA, POI and DMA × POI, per patch."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import ModelConfig, PerceptionConfig, POIConfig
from mubert_jax.data.alignment import aligned
from mubert_jax.data.files import write_text
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.video import grey
from mubert_jax.errors import UserError
from mubert_jax.models.dma import diagonal_attention
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.models.poi import interest
from mubert_jax.perception.focus import evidence, focus
from mubert_jax.perception.registering import by_ellipse, by_interest
from mubert_jax.training.objective import Params

SCALE_FILE = "perception.json"
AS_DEFAULT = PerceptionConfig()


@dataclasses.dataclass(frozen=True)
class Maps:
    """Maps of P pairs, with g patches along a side.

    `onset`, `apex` (P, H, W, 3) uint8, the apex registered to the onset. `difference` (P, H, W):
    |onset - apex| in grey levels.
    `dma` (P, g, g): the map that was asked for; `calibrated` is 0 for equal frames, `diagonal` is
    1 - diag(Â). `poi` (P, g, g): S·N of the apex, mean 1, focused or as it is. `dma_poi` (P, g, g):
    their product, or `perception.focus.evidence` where a calibrated map is focused.
    `displacement` (P, g, g, 2): pixels to the right and down; 0 where DMA reads tokens.
    """

    onset: np.ndarray
    apex: np.ndarray
    difference: np.ndarray
    dma: np.ndarray
    poi: np.ndarray
    dma_poi: np.ndarray
    displacement: np.ndarray

    def __len__(self):
        return len(self.onset)

    def take(self, rows: Sequence[int]) -> "Maps":
        """The maps of some pairs, by their numbers."""
        return Maps(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


class Perceiver:
    """A trained model, compiled to compare frames of its own image size.

    Args:
      model, params: The model and its weights.
      reading: Which maps to compute, and how each apex is registered to its onset first.
      batch: How many pairs are compared at a time; more take more memory.

    Raises:
      UserError: the model has no DMA to read, or no diag(Â) where that is asked for.
    """

    def __init__(
        self,
        model: MicronBert,
        params: Params,
        reading: PerceptionConfig = AS_DEFAULT,
        batch: int = 8,
    ):
        if model.config.dma.kind == "none":
            raise UserError(
                "this checkpoint was trained without DMA (config.model.dma.kind='none'), so it has "
                "no map of movement; train with 'diagonal'"
            )
        if reading.map == "diagonal" and model.config.dma.reads == "motion":
            raise UserError(
                "this checkpoint's DMA reads motion tokens (config.model.dma.reads='motion'): it "
                "has no diag(Â) to show; take --map=calibrated, or weights of configs/synthetic.py"
            )
        self.config: ModelConfig = model.config
        self.align = reading.align
        self._batch = batch
        self._params = params
        self._compare = jax.jit(
            lambda params, current, reference: model.apply(
                {"params": params}, current, reference, reading, method=_read
            )
        )

    def __call__(self, onset_PxHxWx3: np.ndarray, apex_PxHxWx3: np.ndarray) -> Maps:
        """The maps of uint8 RGB frames, `image_size` square."""
        onset, apex = onset_PxHxWx3, apex_PxHxWx3
        if self.align == "ecc":
            apex = np.stack([aligned("ecc", b, a) for a, b in zip(onset, apex, strict=True)])
        read = []
        for start in range(0, len(onset), self._batch):
            part = slice(start, start + self._batch)
            seen = self._compare(self._params, self._padded(onset[part]), self._padded(apex[part]))
            read.append([np.asarray(values)[: len(onset[part])] for values in seen])
        apex, *maps = (np.concatenate(parts) for parts in zip(*read, strict=True))
        grid = (len(onset), self.config.grid, self.config.grid)
        learned = [values.reshape(*grid, *values.shape[2:]) for values in maps]
        difference = np.abs(grey(onset, np.float32) - grey(apex, np.float32))
        return Maps(onset, apex, difference, *learned)

    def _padded(self, images: np.ndarray):
        missing = self._batch - len(images)
        return np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))


def _read(
    model: MicronBert,
    current_uint8: jax.Array,
    reference_uint8: jax.Array,
    reading: PerceptionConfig,
):
    """The registered reference, DMA, POI and both together, (B, N) each, and u (B, N, 2).

    `model` is bound.
    """
    # Apart: where neither map nor registration asks for the current frame's tokens, XLA drops them.
    current = model.encode(normalise(current_uint8))
    if reading.align == "poi":
        reference_uint8 = by_interest(current_uint8, reference_uint8, current.poi_scores)
    elif reading.align == "robust":
        reference_uint8 = by_ellipse(current_uint8, reference_uint8)
    reference = model.encode(normalise(reference_uint8))
    if reading.map == "calibrated":
        movement = jnp.maximum(model.difference(current, reference), 0.0)
    else:
        q, k = model.dma.queries(current.compared), model.dma.keys(reference.compared)
        movement = 1.0 - diagonal_attention(q, k, model.config.dma.chunk)
    if model.config.dma.reads != "tokens":
        displacement = model.displacement(current, reference)
    else:
        displacement = jnp.zeros((*movement.shape, 2))
    if reading.poi == "attention":
        poi = interest(reference.poi_scores, POIConfig(scale="mean_one"))
    else:
        poi = focus(reference.poi_scores)
    both = movement * poi
    if (reading.map, reading.poi) == ("calibrated", "focused"):
        both = evidence(movement, poi, model.dma.log_odds)
    return reference_uint8, movement, poi, both, displacement


def measure_scale(perceiver: Perceiver, pairs: FramePairs, count: int = 64) -> float:
    """The strongest hundredth of a usual training pair: full colour in a picture.

    It is the median over pairs, so that a few whose background moves do not make all others dark.

    Args:
      pairs: The training's pairs, of which `count`, spread evenly, are compared. More of them
        steady the median and delay the start of the training.
    """
    rows = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)
    drawn = [pairs.pair(row, row, seed=0) for row in rows]
    maps = perceiver(*(np.stack([p[name] for p in drawn]) for name in ("current", "reference")))
    return float(np.median(np.percentile(maps.dma, 99, axis=(1, 2))))


def save_scale(workdir: Path, scale: float) -> None:
    write_text(workdir / SCALE_FILE, json.dumps({"calibrated": scale}) + "\n")


def load_scale(workdir: Path) -> float | None:
    """What `save_scale` wrote for this run; None if it wrote nothing.

    Raises:
      UserError: the file holds something else.
    """
    path = workdir / SCALE_FILE
    if not path.exists():
        return None
    try:
        return float(json.loads(path.read_text())["calibrated"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged; delete it, and give --scale instead") from error

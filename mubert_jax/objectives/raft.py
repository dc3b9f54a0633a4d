"""RAFT (Teed and Deng, 2020), trained on known movements of one's own frames.

Where torchvision's weights cannot be had: `mubert export --format=safetensors` writes what the
motion map `raft` reads. Each pair gives one image, I_t. A part of it is cut out, moved locally and
as a whole, and enlarged as the motion map enlarges frames; both moments are degraded independently.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config, WarpConfig
from mubert_jax.config_values import choice
from mubert_jax.errors import UserError
from mubert_jax.models import raft, torchvision
from mubert_jax.training import warps
from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.sampling import sample
from mubert_jax.training.views import pair_keys

SIZES = {"small": raft.SMALL, "large": raft.LARGE}


@dataclass(frozen=True)
class Options:
    """What `config.objective.options` may hold.

    Attributes:
      size: small or large.
      updates: How often the flow is updated in training.
      decay: How much less the error of an update counts than that of the next one.
      crop: Side of the part that is cut out, in pixels of the frame.
      enlarged: How many times its sides are enlarged; 4, as the motion map does.
      warp: The movements, the light and the noise; of its fields, `registered` and `surroundings`
        are not read.
    """

    size: str = choice("small", "large")
    updates: int = 6
    decay: float = 0.8
    crop: int = 40
    enlarged: int = 4
    warp: WarpConfig = WarpConfig(drift=2.0)


@flax.struct.dataclass
class Views:
    """Two moments, (B, S, S, 3) in [-1, 1], and the flow (B, S, S, 2) in their pixels."""

    first: jax.Array
    second: jax.Array
    flow: jax.Array


class RAFTFlow(Objective):
    """The absolute error of the flow after every update; later ones count more.

    `extra` holds the running `statistics` of the large network's batch norms, which stay as they
    were: on batches this small they are noise.
    """

    Options = Options
    layout = "torchvision's RAFT"
    panels = {
        "flow": {"sequence": "absolute error of all updates, weighed"},
        "end-point error": {"endpoint_error": "pixels of the frame"},
        "beside no flow at all (1 = nothing found)": {"relative_error": "end-point error"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        options, side = self.options, config.model.image_size
        enlarged = options.crop * options.enlarged
        if options.updates < 1 or not 0 < options.decay <= 1:
            raise UserError(
                "config.objective.options: updates must be 1 or more and decay between 0 and 1; "
                f"they are {options.updates} and {options.decay}"
            )
        if options.crop > side or enlarged < raft.LEAST_SIDE or enlarged % raft.STRIDE:
            raise UserError(
                f"config.objective.options: a crop of {options.crop} pixels, enlarged "
                f"{options.enlarged} times, has {enlarged}; it must fit into the frame ({side}) "
                f"and have a multiple of {raft.STRIDE}, {raft.LEAST_SIDE} or more, then"
            )
        self.network = raft.RAFT(SIZES[options.size], options.updates, last=False, unrolled=True)

    def init(self, key: jax.Array) -> Params:
        return self._variables(key)["params"]

    def extra(self, params: Params) -> dict:
        return {"statistics": self._variables(jax.random.key(0)).get("batch_stats", {})}

    def _variables(self, key: jax.Array) -> Any:
        images = jnp.zeros((1, raft.LEAST_SIDE, raft.LEAST_SIDE, 3))
        return self.network.init(key, images, images)

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Views:
        keys = pair_keys(key, batch["index"])
        return jax.vmap(self._view)(keys, batch["current"].astype(jnp.float32))

    def _view(self, key: jax.Array, image_HxWx3: jax.Array) -> Views:
        options, warp = self.options, self.options.warp
        of_place, of_field, of_drift, of_first, of_second = jax.random.split(key, 5)
        side, crop = image_HxWx3.shape[0], options.crop
        # Movements keep their length in the frame; their windows are scaled to what is cut out.
        scaled = _of_part(warp, side / crop)
        field = warps.local_movement(of_field, crop, scaled)
        drift = warps.drift(of_drift, crop, scaled)
        reach = int(np.ceil((warp.amplitude[1] + 1.5 * warp.drift) * side / 224))

        def flow(y: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            moved_y, moved_x = field(y, x)
            drift_y, drift_x = drift(y, x)
            return moved_y + drift_y, moved_x + drift_x

        corner = jax.random.randint(of_place, (2,), 0, side - crop + 1)
        second = jax.lax.dynamic_slice(image_HxWx3, (*corner, 0), (crop, crop, 3))
        down, right = flow(*_places(crop, crop))
        rows, columns = _places(crop, crop)
        # The flow is that of the first moment's pixels: they are found there in the second.
        first = sample(second, rows + down, columns + right, reach)
        large = crop * options.enlarged
        down, right = flow(*_places(large, crop))
        seen = [
            jax.image.resize(warps.degraded(of, moment, warp), (large, large, 3), "cubic")
            for of, moment in ((of_first, first), (of_second, second))
        ]
        return Views(
            *(image / 127.5 - 1 for image in seen),
            flow=options.enlarged * jnp.stack([right, down], axis=-1),
        )

    def loss(
        self, params: Params, extra: dict, views: Views, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        variables = {"params": params, "batch_stats": extra["statistics"]}
        told = self.network.bind(variables)(views.first, views.second)
        error_T = jnp.mean(jnp.abs(told - views.flow), axis=(1, 2, 3, 4))
        weight_T = self.options.decay ** jnp.arange(len(error_T) - 1, -1, -1)
        sequence = jnp.sum(weight_T * error_T)
        endpoint = jnp.mean(jnp.linalg.norm(told[-1] - views.flow, axis=-1))
        length = jnp.mean(jnp.linalg.norm(views.flow, axis=-1))
        metrics = {
            "sequence": sequence,
            "endpoint_error": endpoint / self.options.enlarged,
            "relative_error": endpoint / length,
        }
        return sequence, (metrics, {})

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        """The tensors under torchvision's names."""
        return torchvision.raft_tensors({"params": params, "batch_stats": extra["statistics"]})


def _of_part(warp: WarpConfig, times: float) -> WarpConfig:
    """Movements of the same pixels in a part of the frame, whose side is so many times shorter.

    Lengths in `WarpConfig` are scaled with the side, so they grow by as much.
    """
    (low, high), (narrow, wide) = warp.amplitude, warp.sigma
    return dataclasses.replace(
        warp,
        amplitude=(low * times, high * times),
        sigma=(narrow * times, wide * times),
        drift=warp.drift * times,
    )


def _places(count: int, side: int) -> tuple[jax.Array, jax.Array]:
    """Where `count` × `count` pixels are in an image of `side` × `side`, (y, x)."""
    at = (jnp.arange(count) + 0.5) * (side / count) - 0.5
    y, x = jnp.meshgrid(at, at, indexing="ij")
    return y, x

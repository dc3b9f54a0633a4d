"""Local warps of unlabelled frames, from which the calibrated map learns.

Two moments are made from one frame: the second is warped in a few places, both are degraded
independently (light, noise, compression), and they are registered as real frames are. The label is
the warp alone, so by construction light, noise and drift do not count as movement.

Lengths in `WarpConfig` are pixels of a 224-pixel frame and are scaled to the frame's side.
"""

import functools
import math
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import WarpConfig
from mubert_jax.training.degradation import compressed, light, sensor_noise
from mubert_jax.training.sampling import Sampler, by_gathers, by_shifts

# A patch has moved if its movement is at least `MOVED` of the pair's largest and changes its grey
# levels by at least `SHOWS`; it is still if its movement is at most `STILL` of the largest. Other
# patches have no label. The benchmark scores maps by the same numbers (`perception.scores`).
MOVED, SHOWS, STILL = 0.25, 1.0, 0.02
# The middle and the half axes of the ellipse that does not move with its surroundings, as shares of
# the side: where faces are in a frame that is cropped to one.
MIDDLE, HALF_AXIS = (0.4, 0.6), (0.25, 0.45)
# How far the surroundings move: from what registration leaves to a background that passes by.
AWAY = (0.2, 4.0)
# The largest shift of a registered pair before it is moved back. A choice: beyond a pixel, more
# only widens the border of repeated pixels.
REGISTERED_SHIFT = 2.0
# Luma of BT.601.
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@flax.struct.dataclass
class WarpedPair:
    """Two moments (B, H, W, 3) in grey levels; which patches `moved` or are `still`, (B, N).

    `displacement` (B, N, 2) is how far each patch moved by itself, in pixels right and down.
    """

    first: jax.Array
    second: jax.Array
    moved: jax.Array
    still: jax.Array
    displacement: jax.Array


def warped_pairs(
    keys_B: jax.Array, images_BxHxWx3: jax.Array, patch_size: int, config: WarpConfig
) -> WarpedPair:
    """A `WarpedPair` for every frame, uint8; `config` sets the strength of everything."""
    images = images_BxHxWx3.astype(jnp.float32)
    reach = _reach(images.shape[1], config)

    def warped(sample: Sampler):
        return jax.vmap(lambda key, image: _warped_pair(key, image, patch_size, config, sample))

    tpu = warped(functools.partial(by_shifts, reach=reach))
    return jax.lax.platform_dependent(keys_B, images, tpu=tpu, default=warped(by_gathers))


def _warped_pair(
    key: jax.Array, image_HxWx3: jax.Array, patch_size: int, config: WarpConfig, sample: Sampler
):
    of_field, of_drift, of_shift, of_registered, of_first, of_second = jax.random.split(key, 6)
    side = image_HxWx3.shape[0]
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    field = local_movement(of_field, side, config)

    registered = jax.random.uniform(of_registered) < config.registered
    largest = REGISTERED_SHIFT * side / 224
    shift = registered * jax.random.uniform(of_shift, (2,), minval=-largest, maxval=largest)
    y, x = rows + shift[0], columns + shift[1]
    moved_y, moved_x = field(y, x)
    drift_y, drift_x = drift(of_drift, side, config)(rows, columns)
    around, away_y, away_x = _surroundings(jax.random.fold_in(key, 6), rows, columns, config)
    drift_y, drift_x = jnp.where(around, away_y, drift_y), jnp.where(around, away_x, drift_x)
    second = sample(image_HxWx3, y + drift_y - moved_y, x + drift_x - moved_x)
    second = degraded(of_second, second, config)
    back = levels(sample(second, rows - shift[0], columns - shift[1]))

    moved_y, moved_x = field(rows, columns)
    grey_HxWx1 = image_HxWx3 @ GREY[:, None]
    grey = sample(grey_HxWx1, rows - moved_y, columns - moved_x)[..., 0]
    slope_y, slope_x = jnp.gradient(grey)
    length = _patch_means(jnp.hypot(moved_y, moved_x), patch_size)
    visible = _patch_means(jnp.abs(moved_y * slope_y + moved_x * slope_x), patch_size)
    labelled = _patch_means(around.astype(jnp.float32), patch_size) == 0
    displacement = [_patch_means(moved, patch_size) for moved in (moved_x, moved_y)]
    return WarpedPair(
        first=degraded(of_first, image_HxWx3, config),
        second=jnp.where(registered, back, second),
        moved=(length >= MOVED * length.max()) & (visible >= SHOWS) & labelled,
        still=(length <= STILL * length.max()) & labelled,
        displacement=jnp.stack(displacement, axis=-1),
    )


def _reach(side: int, config: WarpConfig):
    """What no displacement along an axis exceeds, in whole pixels."""
    # At the border, the largest turn adds half of the longest shift.
    own = 1.5 * config.drift
    largest = config.amplitude[1] + max(own, AWAY[1] if config.surroundings else 0.0)
    return math.ceil((largest + REGISTERED_SHIFT) * side / 224)


# Positions (y, x) -> displacement (y, x), in pixels.
Field = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def local_movement(key: jax.Array, side: int, config: WarpConfig) -> Field:
    """A sum of Gaussian windows, each displaced along one drawn direction.

    The first place always moves, the others do with probability 1/2, each by half the amplitude or
    more. Where windows overlap, nothing moves further than the amplitude. Centres keep a tenth of
    the side from the border, so that most of a window is inside.
    """
    of_amplitude, of_center, of_sigma, of_angle, of_share, of_more = jax.random.split(key, 6)
    count = config.places
    low, high = np.log(config.amplitude)
    amplitude = jnp.exp(jax.random.uniform(of_amplitude, minval=low, maxval=high)) * side / 224
    center = jax.random.uniform(of_center, (2, count), minval=0.1, maxval=0.9) * side
    low, high = np.log(config.sigma)
    sigma = jnp.exp(jax.random.uniform(of_sigma, (2, count), minval=low, maxval=high)) * side
    angle = jax.random.uniform(of_angle, (count,), maxval=2 * np.pi)
    share = jax.random.uniform(of_share, (count,), minval=0.5, maxval=1.0)
    present = jax.random.uniform(of_more, (count,)) < 0.5
    share *= present.at[0].set(True)
    ways = jnp.sin(angle), jnp.cos(angle), jnp.ones(count)

    def field(y: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        away_y = (y[..., None] - center[0]) / sigma[0]
        away_x = (x[..., None] - center[1]) / sigma[1]
        window = share * jnp.exp(-(away_y**2 + away_x**2) / 2)
        down, right, total = (window @ way for way in ways)
        scale = amplitude / jnp.maximum(total, 1)
        return scale * down, scale * right

    return field


def drift(key: jax.Array, side: int, config: WarpConfig) -> Field:
    """The head's residual movement: a shift, mostly small, and a rotation about the middle."""
    of_length, of_angle, of_turn = jax.random.split(key, 3)
    length = config.drift * side / 224 * jax.random.uniform(of_length) ** 2
    angle = jax.random.uniform(of_angle, maxval=2 * np.pi)
    turn = config.drift / 224 * jax.random.uniform(of_turn, minval=-1)

    def field(y: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        down = length * jnp.sin(angle) + turn * (x - side / 2)
        return down, length * jnp.cos(angle) - turn * (y - side / 2)

    return field


def _surroundings(key: jax.Array, rows: jax.Array, columns: jax.Array, config: WarpConfig):
    """What is around an ellipse in the middle, (H, W) boolean, and its own shift (y, x) in pixels.

    They teach that what moves beside a face says nothing of the face.
    """
    of_middle, of_axes, of_length, of_angle, of_present = jax.random.split(key, 5)
    side = len(rows)
    middle = jax.random.uniform(of_middle, (2,), minval=MIDDLE[0], maxval=MIDDLE[1]) * side
    axes = jax.random.uniform(of_axes, (2,), minval=HALF_AXIS[0], maxval=HALF_AXIS[1]) * side
    outside = ((rows - middle[0]) / axes[0]) ** 2 + ((columns - middle[1]) / axes[1]) ** 2 > 1
    present = jax.random.uniform(of_present) < config.surroundings
    low, high = np.log(AWAY)
    length = jnp.exp(jax.random.uniform(of_length, minval=low, maxval=high)) * side / 224
    angle = jax.random.uniform(of_angle, maxval=2 * np.pi)
    return outside & present, length * jnp.sin(angle), length * jnp.cos(angle)


def degraded(key: jax.Array, image_HxWx3: jax.Array, config: WarpConfig) -> jax.Array:
    """The frame, in grey levels, under light, sensor noise and compression as `config` has them."""
    of_light, of_strength, of_noise, of_quality, of_compressed = jax.random.split(key, 5)
    gain = light(of_light, image_HxWx3.shape[:2], config.gain, config.gradient)
    image = image_HxWx3 * gain[..., None]
    low, high = np.log(config.noise)
    strength = jnp.exp(jax.random.uniform(of_strength, minval=low, maxval=high))
    image += sensor_noise(of_noise, image, strength)
    low, high = config.quality
    quality = jax.random.uniform(of_quality, minval=low, maxval=high)
    chosen = jax.random.uniform(of_compressed) < config.compressed
    return levels(jnp.where(chosen, compressed(image, quality), image))


def levels(image: jax.Array) -> jax.Array:
    """Grey levels as a file holds them: whole, from 0 to 255."""
    return jnp.round(jnp.clip(image, 0, 255))


def _patch_means(image_HxW: jax.Array, patch_size: int):
    grid = len(image_HxW) // patch_size
    return image_HxW.reshape(grid, patch_size, grid, patch_size).mean((1, 3)).reshape(-1)

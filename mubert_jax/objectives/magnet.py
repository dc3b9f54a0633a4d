"""MagNet (Oh et al., 2018): movements that are put on frames are shown so many times as large.

Each pair gives one image, I_t. Of it are made A, as it is; B, in which something has moved and all
has other colours; M, in which the same has moved further; and C, as far as B in the colours of A.
Textures shall not know of movements, nor shapes of colours.
"""

import functools
import math
from dataclasses import dataclass

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config, WarpConfig
from mubert_jax.errors import UserError
from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PAPER, STRIDE, MagNet
from mubert_jax.training.augmentations import Augmentation, augmented
from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.sampling import Sampler, by_gathers, by_shifts
from mubert_jax.training.views import pair_keys
from mubert_jax.training.warps import local_movement

# A shorter side would hold little but the reflections around the widest kernels.
LEAST_CROP = 16
# A Gaussian window of deviation σ whose middle moves by more than σ·√e folds the frame.
FOLDS = math.sqrt(math.e)
# The magnified movement shows in a pixel that it changes by so many grey levels.
SHOWS = 2.0


@dataclass(frozen=True)
class Options:
    """What `config.objective.options` may hold; lengths are pixels of a 224-pixel frame.

    Attributes:
      factor: The largest factor; drawn on a logarithmic scale from 1.
      amplitude: How far something moves, drawn on a logarithmic scale.
      furthest: The largest movement after it is magnified; factors are cut to it.
      still: Share of the pairs in which nothing moves.
      places: How many places may move.
      sigma: The Gaussian widths of these, as shares of the side of what is learnt from.
      colours: The largest relative change of brightness and contrast; half of it of saturation, a
        quarter of a turn times it of the hue.
      noise: The largest strength of the shot noise of A, B and C: its deviation over the root of
        the grey level.
      crop: The side in pixels of what is learnt from, cut anywhere; 0 for whole frames.
      representation: The weight of what textures and shapes shall have in common.
    """

    factor: float = 20.0
    amplitude: tuple[float, float] = (0.1, 5.0)
    furthest: float = 10.0
    still: float = 0.1
    places: int = 3
    sigma: tuple[float, float] = (0.08, 0.2)
    colours: float = 0.2
    noise: float = 0.3
    crop: int = 0
    representation: float = 0.1


@flax.struct.dataclass
class Views:
    """Frames (B, S, S, 3) in [-1, 1], and the `factor` (B,) of `magnified` over `second`.

    `first`, `second` and `repainted` (A, B and C) are noisy; `magnified` (M) and `unmagnified`,
    which is B, are not.
    """

    first: jax.Array
    second: jax.Array
    repainted: jax.Array
    magnified: jax.Array
    unmagnified: jax.Array
    factor: jax.Array


class MagNetObjective(Objective):
    """L1 of the magnified frame, and 0.1 × that of textures (A, C; B, M) and shapes (B, C).

    `gain` is the share of the asked-for magnification that is there: 0 for B as it is, 1 for M.
    `over_unmagnified` is the error over that of B, where the magnified movement shows.
    """

    Options = Options
    panels = {
        "magnified": {"magnified": "L1, of [-1, 1]"},
        "does it magnify?": {
            "gain": "share of the magnification (1 = all)",
            "over_unmagnified": "error over that of the plain frame",
        },
        "representations": {"textures": "L1 of textures", "shapes": "L1 of shapes"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        _check(self.options, config.model.image_size)
        self.model = MagNet(PAPER)

    def init(self, key: jax.Array) -> Params:
        return magnet_weights.first_params(self.model.layout, key)

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Views:
        images = batch["current"].astype(jnp.float32)
        options, side = self.options, images.shape[1]
        reach = math.ceil(options.furthest * side / 224)

        def made(sample: Sampler):
            return jax.vmap(lambda key, image: example(key, image, options, sample))

        tpu = made(functools.partial(by_shifts, reach=reach))
        keys = pair_keys(key, batch["index"])
        return jax.lax.platform_dependent(keys, images, tpu=tpu, default=made(by_gathers))

    def loss(
        self, params: Params, extra: dict, views: Views, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        model = self.model.bind({"params": params})
        frames = views.first, views.second, views.repainted, views.magnified
        texture, shape = model.encode(jnp.concatenate(frames))
        texture_a, texture_b, texture_c, texture_m = jnp.split(texture, 4)
        shape_a, shape_b, shape_c, _ = jnp.split(shape, 4)
        seen = model.decode(texture_b, model.manipulate(shape_a, shape_b, views.factor))
        magnified = _l1(seen, views.magnified)
        textures = _l1(texture_a, texture_c) + _l1(texture_b, texture_m)
        shapes = _l1(shape_b, shape_c)
        loss = magnified + self.options.representation * (textures + shapes)
        metrics = {"magnified": magnified, "textures": textures, "shapes": shapes}
        return loss, (metrics | magnification(seen, views.magnified, views.unmagnified), {})

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        return magnet_weights.to_tensors(params)


def magnification(seen: jax.Array, magnified: jax.Array, unmagnified: jax.Array) -> Metrics:
    """`gain` and `over_unmagnified` of frames of one shape in [-1, 1], as `MagNetObjective` has."""
    wanted, given = magnified - unmagnified, seen - unmagnified
    shows = jnp.max(jnp.abs(wanted), axis=-1, keepdims=True) > SHOWS / 127.5
    error, plain = (jnp.sum(shows * jnp.abs(x)) for x in (seen - magnified, wanted))
    nothing = 1e-6
    return {
        "gain": jnp.sum(given * wanted) / jnp.maximum(jnp.sum(wanted**2), nothing),
        "over_unmagnified": error / jnp.maximum(plain, nothing),
    }


def _check(options: Options, image_size: int):
    def require(condition: bool, name: str, needs: str):
        if not condition:
            value = getattr(options, name)
            raise UserError(f"config.objective.options.{name} is {value}; {needs}")

    for name in ("amplitude", "sigma"):
        low, high = getattr(options, name)
        require(0 < low <= high, name, "it needs 0 < low <= high")
    require(options.factor >= 1, "factor", "choose 1 or more")
    require(options.places >= 1, "places", "choose 1 or more")
    require(0 <= options.still < 1, "still", "it takes [0, 1)")
    require(0 <= options.colours <= 1, "colours", "it takes 0 to 1")
    for name in ("noise", "representation"):
        require(getattr(options, name) >= 0, name, "it cannot be negative")
    side = options.crop or image_size
    if image_size % STRIDE or image_size < LEAST_CROP:
        raise UserError(
            f"config.model.image_size is {image_size}; MagNet needs a multiple of {STRIDE} of at "
            f"least {LEAST_CROP}"
        )
    fits = side % STRIDE == 0 and LEAST_CROP <= side <= image_size
    needs = f"it needs a multiple of {STRIDE} from {LEAST_CROP} to the {image_size} of the frames"
    require(fits, "crop", needs)
    most = FOLDS * options.sigma[0] * side * 224 / image_size
    require(
        options.amplitude[1] <= options.furthest < most,
        "furthest",
        f"it needs at least the amplitude's {options.amplitude[1]:g}, and less than {most:.3g}, at "
        "which movements as narrow as sigma fold the frame",
    )


def example(key: jax.Array, image_HxWx3: jax.Array, options: Options, sample: Sampler) -> Views:
    """What is made of one frame, (S, S, 3) in grey levels: `Views` without the batch's axis."""
    of_place, of_field, of_amplitude, of_factor, of_still, of_colours, of_noise = jax.random.split(
        key, 7
    )
    frame_side = image_HxWx3.shape[0]
    side = options.crop or frame_side
    y, x = jax.random.randint(of_place, (2,), 0, frame_side - side + 1)
    image = jax.lax.dynamic_slice(image_HxWx3, (y, x, 0), (side, side, 3))
    share = options.colours
    colours = Augmentation(1.0, share, share, share / 2, share / 4, grey=0, blur=0, flip=0)
    painted = 255 * augmented(of_colours[None], image[None] / 255, colours)[0]

    # `local_movement` scales with the side of what it is given.
    unit = frame_side / side
    warp = WarpConfig(amplitude=(unit, unit), places=options.places, sigma=options.sigma)
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    down, right = local_movement(of_field, side, warp)(rows, columns)
    low, high = np.log(options.amplitude)
    amplitude = jnp.exp(jax.random.uniform(of_amplitude, minval=low, maxval=high))
    factor = jnp.exp(jax.random.uniform(of_factor, maxval=np.log(options.factor)))
    factor = jnp.minimum(factor, options.furthest / amplitude)
    amplitude *= jax.random.uniform(of_still) >= options.still

    def moved(frame: jax.Array, by: jax.Array):
        return sample(frame, rows - by * down, columns - by * right)

    def noisy(key: jax.Array, frame: jax.Array):
        of_strength, of_pixels = jax.random.split(key)
        strength = options.noise * jax.random.uniform(of_strength)
        return frame + strength * jnp.sqrt(jnp.maximum(frame, 0)) * jax.random.normal(
            of_pixels, frame.shape
        )

    second, repainted, magnified = jax.vmap(moved)(
        jnp.stack([painted, image, painted]),
        jnp.stack([amplitude, amplitude, factor * amplitude]),
    )
    read = jnp.stack([image, second, repainted])
    noisy_first, noisy_second, repainted = jax.vmap(noisy)(jax.random.split(of_noise, 3), read)
    views = Views(noisy_first, noisy_second, repainted, magnified, second, factor)
    scaled = jax.tree.map(lambda frame: jnp.clip(frame, 0, 255) / 127.5 - 1, views)
    return scaled.replace(factor=factor)


def _l1(x: jax.Array, y: jax.Array):
    return jnp.mean(jnp.abs(x - y))

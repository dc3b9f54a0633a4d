"""Registration of many pairs at once in JAX: what `data.alignment.align_robust` does to one.

It runs on the device of the program that it is a part of, with any weights of the pixels, and has
derivatives.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.data.alignment import (
    CAUCHY_SCALE,
    LARGEST_RESIDUAL,
    LARGEST_SHIFT,
    SIGMA_OF_MEDIAN,
    SMALLEST_SPREAD,
)
from mubert_jax.models.images import LUMA

# Halvings of the interval in which a median lies: a spread is known to 1.3 %, which changes no
# weight by more, and a level to 0.02. More of them take longer.
HALVINGS = 10
LEVEL_HALVINGS = 15
# What is added to the normal equations, whose diagonal is 1: far above the rounding of float32, far
# below what moves a fit. Terms of a flat picture are 0, and get 0.
RIDGE = 1e-6
# The parameter of cubic convolution (Keys, 1981) that OpenCV has.
KEYS_A = -0.75


# The distance t, below 1, of the nearest pixel on one side -> weights of it and of those behind.
Kernel = Callable[[jax.Array], tuple[jax.Array, ...]]


def cubic(t: jax.Array) -> tuple[jax.Array, ...]:
    """Cubic convolution (Keys, 1981): weights of pixels t and 1 + t away."""
    near = ((KEYS_A + 2) * t - (KEYS_A + 3)) * t * t + 1
    return near, KEYS_A * (((t - 2) * t + 1) * t)


def linear(t: jax.Array) -> tuple[jax.Array, ...]:
    """Linear interpolation: the weight of the pixel t away."""
    return (1 - t,)


class Phase(NamedTuple):
    """Some Gauss-Newton steps of a fit.

    Attributes:
      steps: how many.
      reweightings: how often Cauchy's weights are set in each.
      stride: 2 reads every second row, 1 all.
      kernel: how the picture is sampled before each.
    """

    steps: int
    reweightings: int
    stride: int
    kernel: Kernel


# As many steps as `alignment.fit_motion_and_light` has, of which the first ones need not be exact:
# reading half of the pixels, and sampling linearly, they take half of the time. Each goes on with
# Cauchy's weights for what the one before has left, so that fewer reweightings do.
PHASES = (Phase(3, 3, 2, linear), Phase(2, 2, 1, cubic))


@flax.struct.dataclass
class Fit:
    """How B pictures became others, apart from what moved by itself.

    Attributes:
      motion: (B, 3), shift along x and y in pixels, turn in radians, as `alignment.move` takes
        them.
      light: (B, 3), the gain in the middle of the frame, and what it gains from one side to the
        other along x and along y.
      taken: (B,), whether the fit is good enough to move the picture by.
    """

    motion: jax.Array
    light: jax.Array
    taken: jax.Array


class Box(NamedTuple):
    """Rows from `top` up to `bottom`, columns from `left` up to `right`."""

    top: int
    bottom: int
    left: int
    right: int


def box_of(weights_HxW: np.ndarray) -> Box:
    """The smallest box around all weights that are not 0.

    Raises:
      ValueError: all are 0.
    """
    rows, columns = (np.flatnonzero(weights_HxW.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("there is no weight to put a box around")
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def register(
    source_BxHxWx3: jax.Array,
    target_BxHxWx3: jax.Array,
    weights_BxHxW: jax.Array,
    box: Box | None = None,
) -> tuple[jax.Array, Fit]:
    """Each source moved onto its target and lit like it, as far as what has weight changed alike.

    Shift, turn, gain and gradient of the light are fitted by Gauss-Newton steps with Cauchy's
    weights, times those given. With the mask `alignment.face_ellipse` as weights it is
    `alignment.align_robust`, before this rounds. Derivatives take the scale of Cauchy's weights,
    and whether a fit is taken, as given.

    Args:
      source_BxHxWx3, target_BxHxWx3: RGB in grey levels of 255; any number type.
      weights_BxHxW: how much a pixel counts, not negative; any scale, any number type.
      box: outside of it there are no weights, if this is known before; the fit then reads no more.

    Returns:
      The registered sources, (B, H, W, 3) float32 in grey levels, neither rounded nor clipped, and
      the fit. A source comes back as it was where its fit moves a corner by more than 15 % of the
      side, or leaves a median deviation of more than 0.71 of the target's.
    """
    source, target = (x.astype(jnp.float32) for x in (source_BxHxWx3, target_BxHxWx3))
    fit = fit_motion_and_light(_grey(source), _grey(target), weights_BxHxW, box)
    height, width = source.shape[1:3]
    frame = Box(0, height, 0, width)
    y, x = _centred(frame, height, width)
    moved = sample(source, *_positions(fit.motion, frame, height, width))
    gain, along_x, along_y = (part[:, None, None] for part in fit.light.T)
    lit = moved * (gain + along_x * x / width + along_y * y / height)[..., None]
    return jnp.where(fit.taken[:, None, None, None], lit, source), fit


class _State(NamedTuple):
    """A fit between two steps.

    `motion`, `light` (B, 3); the light is less 1. `left` (B, P) is what the last step left of the
    target. `started` (B, 1) is 0 before the first step, in which all weights are alike, and 1 then.
    """

    motion: jax.Array
    light: jax.Array
    left: jax.Array
    started: jax.Array


def fit_motion_and_light(
    source_BxHxW: jax.Array,
    target_BxHxW: jax.Array,
    weights_BxHxW: jax.Array,
    box: Box | None = None,
) -> Fit:
    """The fit of `register`, of pictures that are grey; `box` as there."""
    batch, height, width = source_BxHxW.shape
    box = box or Box(0, height, 0, width)
    target, weights = target_BxHxW[_cut(box)], weights_BxHxW[_cut(box)].astype(jnp.float32)
    state = _State(
        motion=jnp.zeros((batch, 3)),
        light=jnp.zeros((batch, 3)),
        left=jnp.zeros((batch, 0)),
        started=jnp.zeros((batch, 1)),
    )
    for phase in PHASES:
        state = _steps(phase, state, source_BxHxW, target, weights, box)
    target_BxP, weights_BxP = target.reshape(batch, -1), weights.reshape(batch, -1)
    side = max(height, width)
    reach_B = jnp.abs(state.motion[:, :2]).max(1) + jnp.abs(state.motion[:, 2]) * side / 2
    held = jax.lax.stop_gradient((state.left, target_BxP, weights_BxP))
    left_B, own_B = (_spread(values, held[2]) for values in held[:2])
    taken_B = (reach_B <= LARGEST_SHIFT * side) & (left_B <= LARGEST_RESIDUAL * own_B)
    return Fit(state.motion, state.light + jnp.array([1.0, 0.0, 0.0]), taken_B)


def _steps(
    phase: Phase,
    state: _State,
    source_BxHxW: jax.Array,
    target_Bxhxw: jax.Array,
    weights_Bxhxw: jax.Array,
    box: Box,
) -> _State:
    """The steps of a phase; target and weights are those in the box."""
    batch, height, width = source_BxHxW.shape
    wide = _around(box, height, width)
    inner = _cut(
        Box(
            box.top - wide.top,
            box.bottom - wide.top,
            box.left - wide.left,
            box.right - wide.left,
        )
    )

    def flat(part: jax.Array):
        return part[:, :: phase.stride].reshape(batch, -1)

    target_BxP, weights_BxP = flat(target_Bxhxw), flat(weights_Bxhxw)
    y, x = (part[:: phase.stride].reshape(-1) for part in _centred(box, height, width))

    def step(state: _State, _: None):
        positions = _positions(state.motion, wide, height, width)
        moved_BxIxJ = sample(source_BxHxW[..., None], *positions, phase.kernel)[..., 0]
        slopes = jnp.gradient(moved_BxIxJ, axis=(1, 2))
        moved, dy, dx = (flat(part[inner]) for part in (moved_BxIxJ, *slopes))
        terms = [moved, moved * x / width, moved * y / height, dx, dy, dy * x - dx * y]
        terms_Bx7xP = jnp.stack([*terms, target_BxP - moved], axis=1)
        found_Bx6 = jnp.concatenate([state.light, jnp.zeros((batch, 3))], axis=1)
        left_BxP = state.started * _left(terms_Bx7xP, found_Bx6)

        def reweighted(_: int, found: tuple[jax.Array, jax.Array]):
            cauchy_BxP = _cauchy(found[1], weights_BxP)
            return _weighted(terms_Bx7xP, weights_BxP * cauchy_BxP)

        start = found_Bx6, left_BxP
        found_Bx6, left_BxP = jax.lax.fori_loop(0, phase.reweightings, reweighted, start)
        motion, started = state.motion + found_Bx6[:, 3:], jnp.ones_like(state.started)
        return _State(motion, found_Bx6[:, :3], left_BxP, started), None

    state = state._replace(left=jnp.zeros_like(target_BxP))
    return jax.lax.scan(step, state, length=phase.steps)[0]


def _around(box: Box, height: int, width: int):
    """The box and a pixel on each side, for the slopes, as far as the frame goes."""
    top, left = max(box.top - 1, 0), max(box.left - 1, 0)
    return Box(top, min(box.bottom + 1, height), left, min(box.right + 1, width))


def sample(
    image_BxHxWxC: jax.Array, y_BxIxJ: jax.Array, x_BxIxJ: jax.Array, kernel: Kernel = cubic
) -> jax.Array:
    """The images at fractional positions (pixels), (B, I, J, C); edges are repeated."""
    return jax.lax.platform_dependent(
        image_BxHxWxC,
        y_BxIxJ,
        x_BxIxJ,
        tpu=functools.partial(by_products, kernel=kernel),
        default=functools.partial(by_gathers, kernel=kernel),
    )


def by_gathers(
    image_BxHxWxC: jax.Array, y_BxIxJ: jax.Array, x_BxIxJ: jax.Array, kernel: Kernel
) -> jax.Array:
    """`sample` from the pixels around each position."""
    batch, height, width, channels = image_BxHxWxC.shape
    pixels = image_BxHxWxC.reshape(batch, height * width, channels)
    take = jax.vmap(lambda image, places: image[places])
    row, column = jnp.floor(y_BxIxJ), jnp.floor(x_BxIxJ)
    t_y, t_x = y_BxIxJ - row, x_BxIxJ - column
    row, column = row.astype(jnp.int32), column.astype(jnp.int32)

    def add_side(below: int, total: jax.Array):
        """Adds the rows on one side of the position, those below it or not."""
        for i, weight_y in enumerate(kernel(jnp.where(below, 1 - t_y, t_y))):
            start = jnp.clip(row + jnp.where(below, 1 + i, -i), 0, height - 1) * width
            for right, t in enumerate((t_x, 1 - t_x)):
                for j, weight_x in enumerate(kernel(t)):
                    places = start + jnp.clip(column + (1 + j if right else -j), 0, width - 1)
                    total += (weight_y * weight_x)[..., None] * take(pixels, places)
        return total

    # What a loop carries is computed once. XLA would sample anew for all that reads the result.
    nothing = jnp.zeros((*y_BxIxJ.shape, channels))
    return jax.lax.fori_loop(0, 2, add_side, nothing)


def by_products(
    image_BxHxWxC: jax.Array, y_BxIxJ: jax.Array, x_BxIxJ: jax.Array, kernel: Kernel
) -> jax.Array:
    """`sample` by products with the weights of all rows and columns: no pixel is gathered.

    A TPU gathers single pixels slowly, and positions here may be far from their own.
    """
    _, height, width, _ = image_BxHxWxC.shape

    def one(image_HxWxC: jax.Array, y_IxJ: jax.Array, x_IxJ: jax.Array):
        rows_IxJxWxC = _sum("ijh,hwc->ijwc", _weights(y_IxJ, height, kernel), image_HxWxC)
        return (_weights(x_IxJ, width, kernel)[..., None] * rows_IxJxWxC).sum(2)

    # One after the other: the rows of all would fill the memory.
    return jax.lax.map(lambda own: one(*own), (image_BxHxWxC, y_BxIxJ, x_BxIxJ))


def _weights(place_IxJ: jax.Array, size: int, kernel: Kernel) -> jax.Array:
    """How much of each of `size` rows, or columns, there is at a place, (I, J, size)."""
    pixel = jnp.floor(place_IxJ)
    t, pixel = place_IxJ - pixel, pixel.astype(jnp.int32)
    taps = [(pixel - i, weight) for i, weight in enumerate(kernel(t))]
    taps += [(pixel + 1 + i, weight) for i, weight in enumerate(kernel(1 - t))]
    everywhere = jnp.arange(size)
    weights = (
        jnp.where(jnp.clip(pixel, 0, size - 1)[..., None] == everywhere, weight[..., None], 0)
        for pixel, weight in taps
    )
    return functools.reduce(jnp.add, weights)


def _grey(images: jax.Array):
    # A sum over the last axis would take ten times as long on a CPU.
    red, green, blue = (images[..., channel] * LUMA[channel] for channel in range(3))
    return red + green + blue


def _cut(box: Box):
    return slice(None), slice(box.top, box.bottom), slice(box.left, box.right)


def _centred(box: Box, height: int, width: int):
    """(y, x) of the pixels of a box, from the middle of the frame."""
    rows, columns = np.mgrid[box.top : box.bottom, box.left : box.right].astype(np.float32)
    return rows - height / 2, columns - width / 2


def _positions(motion_Bx3: jax.Array, box: Box, height: int, width: int):
    """Where the pixels of a box come from, (y, x), (B, I, J) each."""
    y, x = _centred(box, height, width)
    right, down, turn = (part[:, None, None] for part in motion_Bx3.T)
    return y + height / 2 + down + turn * x, x + width / 2 + right - turn * y


def _sum(over: str, *operands: jax.Array):
    """An einsum in full float32, which TF32 and bfloat16 are too coarse for."""
    return jnp.einsum(over, *operands, precision=jax.lax.Precision.HIGHEST)


def _weighted(terms_Bx7xP: jax.Array, weights_BxP: jax.Array):
    """Weighted least squares of the seventh term by the others: what is found (B, 6), what is left.

    By normal equations whose diagonal is scaled to 1.
    """
    weighted = terms_Bx7xP * weights_BxP[:, None]
    products_Bx7x7 = _sum("bip,bjp->bij", weighted, terms_Bx7xP)
    square_Bx6 = jnp.diagonal(products_Bx7x7, axis1=1, axis2=2)[:, :6]
    scale_Bx6 = jax.lax.rsqrt(jnp.where(square_Bx6 > 0, square_Bx6, 1.0))
    normal = products_Bx7x7[:, :6, :6] * scale_Bx6[:, None] * scale_Bx6[:, :, None]
    right_Bx6x1 = products_Bx7x7[:, :6, 6:] * scale_Bx6[..., None]
    solved_Bx6 = jnp.linalg.solve(normal + RIDGE * jnp.eye(6), right_Bx6x1)[..., 0]
    found_Bx6 = scale_Bx6 * solved_Bx6
    return found_Bx6, _left(terms_Bx7xP, found_Bx6)


def _left(terms_Bx7xP: jax.Array, found_Bx6: jax.Array):
    """What the first six terms leave of the seventh, (B, P)."""
    less_Bx7 = jnp.concatenate([-found_Bx6, jnp.ones_like(found_Bx6[:, :1])], axis=1)
    return _sum("bi,bip->bp", less_Bx7, terms_Bx7xP)


def _cauchy(left_BxP: jax.Array, weights_BxP: jax.Array):
    held = jax.lax.stop_gradient((jnp.abs(left_BxP), weights_BxP))
    sigma_Bx1 = jnp.maximum(SIGMA_OF_MEDIAN * _median_deviation(*held), SMALLEST_SPREAD)
    return 1 / (1 + (left_BxP / (CAUCHY_SCALE * sigma_Bx1)) ** 2)


def _spread(values_BxP: jax.Array, weights_BxP: jax.Array):
    """The weighted median of the absolute deviations from the weighted median, (B,)."""
    low, high = values_BxP.min(1, keepdims=True), values_BxP.max(1, keepdims=True)
    middle = _median(
        values_BxP, weights_BxP, low, high, LEVEL_HALVINGS, lambda low, high: (low + high) / 2
    )
    return _median_deviation(jnp.abs(values_BxP - middle), weights_BxP)[:, 0]


def _median_deviation(deviation_BxP: jax.Array, weights_BxP: jax.Array):
    """The weighted median of values that are not negative, (B, 1), to a share of itself."""
    low = jnp.full((deviation_BxP.shape[0], 1), SMALLEST_SPREAD / 10)
    high = jnp.maximum(low, deviation_BxP.max(1, keepdims=True))
    return _median(
        deviation_BxP, weights_BxP, low, high, HALVINGS, lambda low, high: jnp.sqrt(low * high)
    )


def _median(
    values_BxP: jax.Array,
    weights_BxP: jax.Array,
    low_Bx1: jax.Array,
    high_Bx1: jax.Array,
    halvings: int,
    middle: Callable[[jax.Array, jax.Array], jax.Array],
):
    """The weighted median (B, 1) between two bounds, by halving their distance at the `middle`.

    Sorting is exact, and takes forty times as long on a CPU.
    """
    half_Bx1 = weights_BxP.sum(1, keepdims=True) / 2

    def halve(_: int, ends: tuple[jax.Array, jax.Array]):
        low, high = ends
        between = middle(low, high)
        enough = jnp.where(values_BxP <= between, weights_BxP, 0).sum(1, keepdims=True) >= half_Bx1
        return jnp.where(enough, low, between), jnp.where(enough, between, high)

    ends = low_Bx1, high_Bx1
    _, high_Bx1 = jax.lax.fori_loop(0, halvings, halve, ends)
    below = (values_BxP <= high_Bx1) & (weights_BxP > 0)
    return jnp.where(below, values_BxP, -jnp.inf).max(1, keepdims=True)

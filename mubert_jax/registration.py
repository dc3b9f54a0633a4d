"""Registration of many pairs at once in JAX: what `data.alignment.align_robust` does to one.

It runs on the device of the program that it is a part of, with any weights of the pixels, and has
derivatives.
"""

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

# Gauss-Newton steps, as `fit_motion_and_light` has them.
STEPS = 5
# Reweightings in each step. Since a step starts with the weights of the one before, these add up:
# with fewer, the fit is behind where half of the face moves by itself.
REWEIGHTINGS = 2
# Halvings of the interval in which a median lies: a spread is known to 1.3 %, which changes no
# weight by more, and a level to 0.02. More of them take longer.
HALVINGS = 10
LEVEL_HALVINGS = 15
# What is added to the normal equations, whose diagonal is 1: far above the rounding of float32, far
# below what moves a fit. Terms of a flat picture are 0, and get 0.
RIDGE = 1e-6
# The parameter of cubic convolution (Keys, 1981) that OpenCV has.
KEYS_A = -0.75


@flax.struct.dataclass
class Fit:
    """How B pictures became others, apart from what moved by itself.

    Attributes:
      motion_Bx3: shift along x and y in pixels, turn in radians, as `alignment.move` takes them.
      light_Bx3: gain, and its change from one side of the frame to the other along x and along y.
      taken_B: whether the fit is good enough to move the picture by.
    """

    motion_Bx3: jax.Array
    light_Bx3: jax.Array
    taken_B: jax.Array


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
    """Each source moved onto its target and lit like it, as far as all that has weight changed alike.

    Shift, turn, gain and gradient of the light are fitted by Gauss-Newton steps with Cauchy's
    weights, times those given. With the ellipse of `alignment.face_ellipse` as weights it is
    `align_robust`, before this rounds. Derivatives take the scale of Cauchy's weights as given.

    Args:
      source_BxHxWx3, target_BxHxWx3: RGB in grey levels of 255; any number type.
      weights_BxHxW: how much a pixel counts, not negative; any scale.
      box: where the weights are that are not 0, if this is known before; less work than the whole
        frame.

    Returns:
      The registered sources, (B, H, W, 3) float32 in grey levels, neither rounded nor clipped, and
      the fit. A source comes back as it was where its fit moves a corner by more than 15 % of the
      side, or leaves a median deviation of more than 0.71 of the target's.
    """
    source, target = (x.astype(jnp.float32) for x in (source_BxHxWx3, target_BxHxWx3))
    fit = fit_motion_and_light(_grey(source), _grey(target), weights_BxHxW, box)
    height, width = source.shape[1:3]
    y, x = _centred(Box(0, height, 0, width), height, width)
    moved = sample(source, *_positions(fit.motion_Bx3, Box(0, height, 0, width), height, width))
    gain, along_x, along_y = (part[:, None, None] for part in fit.light_Bx3.T)
    lit = moved * (gain + along_x * x / width + along_y * y / height)[..., None]
    return jnp.where(fit.taken_B[:, None, None, None], lit, source), fit


def fit_motion_and_light(
    source_BxHxW: jax.Array,
    target_BxHxW: jax.Array,
    weights_BxHxW: jax.Array,
    box: Box | None = None,
) -> Fit:
    """The fit of `register`, of pictures that are grey; `box` as there."""
    batch, height, width = source_BxHxW.shape
    box = box or Box(0, height, 0, width)
    # A pixel more on each side, for the slopes.
    wide = Box(
        max(box.top - 1, 0),
        min(box.bottom + 1, height),
        max(box.left - 1, 0),
        min(box.right + 1, width),
    )
    inner = _cut(Box(*(edge - (wide.top, wide.left)[i // 2] for i, edge in enumerate(box))))
    y, x = (values.reshape(-1) for values in _centred(box, height, width))
    target_BxP = target_BxHxW[_cut(box)].reshape(batch, -1)
    weights_BxP = weights_BxHxW[_cut(box)].reshape(batch, -1).astype(jnp.float32)

    def step(moved_BxHxW: jax.Array, cauchy_BxP: jax.Array):
        """One Gauss-Newton step: what it finds (B, 6), Cauchy's weights, what is left."""
        slopes = jnp.gradient(moved_BxHxW, axis=(1, 2))
        moved, dy, dx = (part[inner].reshape(batch, -1) for part in (moved_BxHxW, *slopes))
        terms = [moved, moved * x / width, moved * y / height, dx, dy, dy * x - dx * y]
        terms_Bx7xP = jnp.stack([*terms, target_BxP - moved], axis=1)

        def reweighted(_, state):
            found_Bx6, left_BxP = _weighted(terms_Bx7xP, weights_BxP * state[0])
            return _cauchy(left_BxP, weights_BxP), found_Bx6, left_BxP

        cauchy_BxP, *_ = jax.lax.fori_loop(
            0, REWEIGHTINGS, reweighted, (cauchy_BxP, jnp.zeros((batch, 6)), target_BxP)
        )
        found_Bx6, left_BxP = _weighted(terms_Bx7xP, weights_BxP * cauchy_BxP)
        return found_Bx6, cauchy_BxP, left_BxP

    def further(state, _):
        """A step, and the picture moved by it.

        What a loop carries is computed once; XLA would sample the picture anew for each slope.
        """
        motion_Bx3, moved_BxHxW, cauchy_BxP, *_ = state
        found_Bx6, cauchy_BxP, left_BxP = step(moved_BxHxW, cauchy_BxP)
        motion_Bx3 += found_Bx6[:, 3:]
        positions = _positions(motion_Bx3, wide, height, width)
        moved_BxHxW = sample(source_BxHxW[..., None], *positions)[..., 0]
        return (motion_Bx3, moved_BxHxW, cauchy_BxP, found_Bx6[:, :3], left_BxP), None

    nothing_Bx3, still = jnp.zeros((batch, 3)), source_BxHxW[_cut(wide)]
    state = nothing_Bx3, still, jnp.ones_like(target_BxP), nothing_Bx3, target_BxP
    (motion_Bx3, _, _, light_Bx3, left_BxP), _ = jax.lax.scan(further, state, length=STEPS)

    side = max(height, width)
    reach_B = jnp.abs(motion_Bx3[:, :2]).max(1) + jnp.abs(motion_Bx3[:, 2]) * side / 2
    left_B, own_B = (_spread(values, weights_BxP) for values in (left_BxP, target_BxP))
    taken_B = (reach_B <= LARGEST_SHIFT * side) & (left_B <= LARGEST_RESIDUAL * own_B)
    return Fit(motion_Bx3, light_Bx3 + jnp.array([1.0, 0.0, 0.0]), taken_B)


def sample(image_BxHxWxC: jax.Array, y_BxIxJ: jax.Array, x_BxIxJ: jax.Array) -> jax.Array:
    """The images at fractional positions, (B, I, J, C), by cubic convolution; edges are repeated."""
    batch, height, width, channels = image_BxHxWxC.shape
    pixels = image_BxHxWxC.reshape(batch, height * width, channels)
    row, column = jnp.floor(y_BxIxJ), jnp.floor(x_BxIxJ)
    weights_y, weights_x = _cubic(y_BxIxJ - row), _cubic(x_BxIxJ - column)
    row, column = row.astype(jnp.int32), column.astype(jnp.int32)
    take = jax.vmap(lambda image, places: image[places])
    total = jnp.zeros((*y_BxIxJ.shape, channels))
    for i, weight_y in enumerate(weights_y):
        start = jnp.clip(row + i - 1, 0, height - 1) * width
        for j, weight_x in enumerate(weights_x):
            places = start + jnp.clip(column + j - 1, 0, width - 1)
            total += (weight_y * weight_x)[..., None] * take(pixels, places)
    return total


def _cubic(t: jax.Array):
    """Weights of the four neighbours at -1, 0, 1 and 2."""

    def near(d: jax.Array):
        return ((KEYS_A + 2) * d - (KEYS_A + 3)) * d * d + 1

    def far(d: jax.Array):
        return KEYS_A * (((d - 5) * d + 8) * d - 4)

    return far(1 + t), near(t), near(1 - t), far(2 - t)


def _grey(images: jax.Array):
    return jnp.sum(images * LUMA, axis=-1)


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
    less_Bx7 = jnp.concatenate([-found_Bx6, jnp.ones_like(found_Bx6[:, :1])], axis=1)
    return found_Bx6, _sum("bi,bip->bp", less_Bx7, terms_Bx7xP)


def _cauchy(left_BxP: jax.Array, weights_BxP: jax.Array):
    deviation_Bx1 = _median_deviation(jnp.abs(left_BxP), weights_BxP)
    spread_Bx1 = CAUCHY_SCALE * jnp.maximum(SIGMA_OF_MEDIAN * deviation_Bx1, SMALLEST_SPREAD)
    return 1 / (1 + (left_BxP / jax.lax.stop_gradient(spread_Bx1)) ** 2)


def _spread(values_BxP: jax.Array, weights_BxP: jax.Array):
    """The weighted median of the absolute deviations from the weighted median, (B,)."""
    low, high = values_BxP.min(1, keepdims=True), values_BxP.max(1, keepdims=True)
    middle = _median(
        values_BxP, weights_BxP, low, high, LEVEL_HALVINGS, lambda low, high: (low + high) / 2
    )
    return _median_deviation(jnp.abs(values_BxP - middle), weights_BxP)[:, 0]


def _median_deviation(deviation_BxP: jax.Array, weights_BxP: jax.Array):
    """The weighted median of values that are not negative, (B, 1), to a share of itself."""
    low = jnp.full((len(deviation_BxP), 1), SMALLEST_SPREAD / 10)
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

    def halve(_, ends):
        low, high = ends
        between = middle(low, high)
        enough = jnp.where(values_BxP <= between, weights_BxP, 0).sum(1, keepdims=True) >= half_Bx1
        return jnp.where(enough, low, between), jnp.where(enough, between, high)

    ends = low_Bx1, high_Bx1
    _, high_Bx1 = jax.lax.fori_loop(0, halvings, halve, ends)
    below = (values_BxP <= high_Bx1) & (weights_BxP > 0)
    return jnp.where(below, values_BxP, -jnp.inf).max(1, keepdims=True)

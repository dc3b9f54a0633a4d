"""What a program that is lowered for another platform reads by gathers."""

import math
import re

import jax


def lowered_for(platform, function, *arguments):
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def places_gathered(text):
    """From how many places the largest gather of a program reads; a slice is at one."""
    shapes = re.findall(r"stablehlo\.(?:dynamic_)?gather.*, tensor<([\dx]+)xu?i\d+>[),]", text)
    return max((math.prod(map(int, shape.split("x")[:-1])) for shape in shapes), default=0)

"""How a model is computed on a device: what `auto` in its config stands for there."""

import dataclasses

import jax

from mubert_jax.config import ModelConfig
from mubert_jax.errors import UserError

# What cuDNN's flash attention requires: an NVIDIA GPU of the Ampere generation (compute capability
# 8.0) or later, and heads whose size is a multiple of 8, up to `LARGEST_HEAD`.
AMPERE = 8
LARGEST_HEAD = 128


def settled(config: ModelConfig, device: jax.Device | None = None) -> ModelConfig:
    """The config with the dtype and the attention that `auto` stands for on a device.

    Args:
      device: may belong to a topology that is only compiled for; None takes the first one that
        JAX runs on.
    """
    device = device or jax.devices()[0]
    if config.dtype == "auto":
        dtype = "float32" if device.platform == "cpu" else "bfloat16"
        config = dataclasses.replace(config, dtype=dtype)
    if config.attention == "auto":
        config = dataclasses.replace(config, attention=_attention_of(config, device))
    return config


def _attention_of(config: ModelConfig, device: jax.Device):
    """What is fastest on a device, of what computes there."""
    fused = (name for name, why_not in WHY_NOT.items() if not why_not(config, device))
    return next(fused, "explicit" if device.platform == "cpu" else "xla")


def for_any_device(config: ModelConfig) -> ModelConfig:
    """The config of a trained model, for use on any device.

    Attention is the device's choice: a model that was trained with a GPU's or a TPU's own also runs
    without it.
    """
    auto = "auto" if config.attention in WHY_NOT else config.attention
    return dataclasses.replace(config, attention=auto)


def check_attention(config: ModelConfig, device: jax.Device | None = None) -> None:
    """Checks the attention that a command's user chose.

    Raises:
      UserError: the device, the dtype or the heads rule it out.
    """
    device = device or jax.devices()[0]
    if config.attention not in WHY_NOT:
        return
    if reason := WHY_NOT[config.attention](settled(config, device), device):
        raise UserError(
            f"config.model.attention={config.attention} is not possible: {reason}; "
            "config.model.attention=auto takes what is"
        )


def _why_not_cudnn(config: ModelConfig, device: jax.Device) -> str | None:
    generation = str(getattr(device, "compute_capability", "")).partition(".")[0]
    if not generation.isdigit() or int(generation) < AMPERE:
        return f"it needs an NVIDIA GPU, Ampere or later, and JAX computes on {device.device_kind}"
    if config.dtype != "bfloat16":
        return f"it computes in bfloat16, and config.model.dtype is {config.dtype}"
    for key, part in {"model": config, "model.decoder": config.decoder}.items():
        size = part.dim // part.heads
        if size % 8 or size > LARGEST_HEAD:
            return (
                f"it takes heads of a multiple of 8 numbers, up to {LARGEST_HEAD}, and "
                f"config.{key}.dim={part.dim} in config.{key}.heads={part.heads} makes {size}"
            )
    return None


def _why_not_splash(config: ModelConfig, device: jax.Device) -> str | None:
    if device.platform == "tpu":
        return None
    return f"its kernel is for TPUs, and JAX computes on {device.device_kind}"


# Attention of one kind of device -> why a model cannot have it on a device, None where it can.
WHY_NOT = {"cudnn": _why_not_cudnn, "splash": _why_not_splash}

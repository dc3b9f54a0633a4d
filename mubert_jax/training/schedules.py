"""Learning rate and teacher momentum as functions of the step."""

import jax
import jax.numpy as jnp
import optax

from mubert_jax.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Linear warm-up from 0, then a cosine to 0 at the last step."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if config.warmup_steps else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=config.warmup_steps,
        decay_steps=max(total_steps, config.warmup_steps + 1),
    )


def teacher_momentum(first: float, progress: jax.Array) -> jax.Array:
    """EMA momentum of a teacher: from `first` to 1 on a cosine, progress in [0, 1].

    As in BYOL (Grill et al., 2020), DINO and MoCo v3.
    """
    return 1.0 - (1.0 - first) * (jnp.cos(jnp.pi * progress) + 1.0) / 2.0

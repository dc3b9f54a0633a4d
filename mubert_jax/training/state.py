"""The training state and how it starts."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mubert_jax.config import Config
from mubert_jax.losses import AGREEMENTS
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.training.schedules import learning_rate


@flax.struct.dataclass
class TrainState:
    """All that a step reads and writes; a checkpoint is this and nothing else.

    `teacher` is the EMA of encoder and projector and `center` (K,) its running mean; both are None
    where the agreement has no teacher.
    """

    step: jax.Array
    params: dict
    opt_state: optax.OptState
    teacher: dict | None
    center: jax.Array | None


def optimizer(config: Config, total_steps: int) -> optax.GradientTransformation:
    """AdamW; weight decay on matrices only, not on biases, norms and the contextual token."""
    options = config.optimizer
    adamw = optax.adamw(
        learning_rate(options, total_steps),
        b1=options.beta1,
        b2=options.beta2,
        weight_decay=options.weight_decay,
        mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    )
    if options.clip_norm:
        return optax.chain(optax.clip_by_global_norm(options.clip_norm), adamw)
    return adamw


def create_state(config: Config, model: MicronBert, tx: optax.GradientTransformation) -> TrainState:
    """A fresh state, a function of `config.training.seed`; to be jitted with output shardings."""
    params = init_params(config, model)
    has_teacher = AGREEMENTS[config.loss.agreement].teacher
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=tx.init(params),
        teacher=jax.tree.map(jnp.copy, teacher_part(params)) if has_teacher else None,
        center=jnp.zeros(config.loss.dino.output_dim) if has_teacher else None,
    )


def init_params(config: Config, model: MicronBert) -> dict:
    """The model's first parameters, a function of `config.training.seed`."""
    size = config.model.image_size
    images = jnp.zeros((1, size, size, 3))
    key = jax.random.key(config.training.seed)
    return model.init(key, images, method=MicronBert.initialise)["params"]


def teacher_part(params: dict) -> dict:
    """The parameters that a teacher follows."""
    return {name: params[name] for name in ("encoder", "projector")}

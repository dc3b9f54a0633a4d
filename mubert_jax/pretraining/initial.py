"""The first weights of a training: fresh ones, or those of another run (`training.init_from`)."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.config import Config, flatten
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_seen, open_trained
from mubert_jax.training.checkpoints import Weights
from mubert_jax.training.contamination import Seen
from mubert_jax.training.objective import Objective
from mubert_jax.training.state import TrainState

# The encoder's learnt token for masked patches.
MASK = "mask_token"
# Keys of config.model that may differ without changing the function of the weights.
HARMLESS = ("model.attention", "model.dtype", "model.dma.chunk", "model.dma.initial")


@dataclasses.dataclass(frozen=True)
class InitFrom:
    """The first weights and their history, as `config.training.init_from` names them."""

    objective: Objective
    config: Config
    console: Console

    def seen(self) -> Seen:
        """Whose faces the first weights have seen; raises as `state` does."""
        source = self.config.training.init_from
        return open_seen(source) if source else Seen()

    def state(self, fresh: TrainState) -> TrainState:
        """`fresh`, with the modules of `training.init_from` if it names any weights.

        Modules that the other run lacks (a projector, say) keep their fresh weights. `extra`, the
        objective's other state, is that of the other run, or is initialised from these weights.

        Raises:
          UserError: no checkpoint there, a module of another shape, another number of heads.
        """
        source = self.config.training.init_from
        if not source:
            return fresh
        trained = open_trained(source, extra=True, any_objective=True)
        other, weights = trained.config, trained.weights
        _compare_heads(self.config, other, source)
        params = fresh.params | {
            name: _placed(
                _masked_alike(weights.params[name], fresh.params[name]),
                fresh.params[name],
                f"{source}: {name}",
            )
            for name in fresh.params
            if name in weights.params
        }
        text = "\n".join(_report(self.config, other, fresh, weights))
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        extra = self.objective.extra(params) | weights.extra | self.objective.from_disk()
        return dataclasses.replace(
            fresh,
            params=params,
            extra={
                name: _placed(extra[name], fresh.extra[name], f"{source}: {name}")
                for name in fresh.extra
            },
        )


def _report(config: Config, other: Config, fresh: TrainState, weights: Weights) -> Iterator[str]:
    """Lines on what is taken over, what is not, and which config keys change its function."""
    taken = [name for name in fresh.params if name in weights.params]
    yield f"Starting from {config.training.init_from}: {', '.join(taken)}"
    if new := [name for name in fresh.params if name not in taken]:
        yield f"  fresh: {', '.join(new)}"
    left = [name for name in weights.params if name not in taken]
    left += [name for name in weights.extra if name not in fresh.extra]
    if left:
        yield f"  left behind: {', '.join(left)}"
    ours, theirs = flatten(config), flatten(other)
    for key in ours:
        if key.startswith("model.") and key not in HARMLESS and ours[key] != theirs[key]:
            yield f"  config.{key}: {ours[key]!r} here, {theirs[key]!r} there"


def _compare_heads(config: Config, other: Config, source: str):
    """Refuses another number of heads, the one size that no tensor's shape shows."""
    heads = {
        "model.heads": (config.model.heads, other.model.heads),
        "model.decoder.heads": (config.model.decoder.heads, other.model.decoder.heads),
    }
    for key, (here, there) in heads.items():
        if here != there:
            raise UserError(
                f"config.training.init_from={source}: config.{key} is {here} here and {there} "
                "there; take theirs"
            )


def _masked_alike(tree: Any, like: Any) -> Any:
    """`tree` with a learnt mask where `like` has one, a fresh one if need be, and with none else.

    Only some objectives mask what the encoder reads.
    """
    if not isinstance(tree, dict):
        return tree
    rest = {name: part for name, part in tree.items() if name != MASK}
    return rest | {MASK: tree.get(MASK, like[MASK])} if MASK in like else rest


def _placed(tree: Any, like: Any, where: str) -> Any:
    """A copy of `tree`, each leaf on the devices of its counterpart in `like`."""
    ours, theirs = (dict(jax.tree_util.tree_leaves_with_path(x)) for x in (like, tree))
    for path in ours | theirs:
        sizes = [leaves[path].shape if path in leaves else None for leaves in (ours, theirs)]
        if sizes[0] != sizes[1]:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"config.training.init_from={where}/{name} has the shape {sizes[1]}, this config "
                f"needs {sizes[0]}; take the config.model and config.loss.dino that those weights "
                "were trained with"
            )
    return jax.tree.map(lambda new, old: jax.device_put(np.array(new), old.sharding), tree, like)

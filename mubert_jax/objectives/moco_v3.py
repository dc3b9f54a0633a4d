"""MoCo v3 (Chen et al., 2021): two views of a frame find each other among all views of the batch.

The encoder is μ-BERT's, read at the contextual token, or a ResNet, read at its features' mean. Keys
come from the encoder's moving average. Each pair gives one image, I_t.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax import losses
from mubert_jax.config import Config, CropConfig, ModelConfig
from mubert_jax.errors import UserError
from mubert_jax.models import resnet, timm, torchvision
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.models.micron_bert import MicronEncoder, compute_dtype
from mubert_jax.models.resnet import ResNet
from mubert_jax.training import flops, schedules
from mubert_jax.training.augmentations import Augmentation, augmented
from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.views import pair_keys, random_crops

MICRON = "micron"
# BYOL's two recipes: one view is always blurred, the other is solarised now and then.
RECIPES = (Augmentation(blur=1.0), Augmentation(blur=0.1, solarise=0.2))


@dataclass(frozen=True)
class Options:
    """What `config.objective.options` may hold.

    Attributes:
      backbone: micron, resnet50 or resnet101.
      temperature: How sharply a view is told from those of other frames; 1.0 for ResNets.
      hidden, output: Widths of the projector and the predictor.
      momentum: Of the keys' encoder at first; rises to 1 on a cosine.
      crop_scale: Share of the frame's area that a view shows; (0.2, 1.0) for ResNets.
    """

    backbone: str = MICRON
    temperature: float = 0.2
    hidden: int = 4096
    output: int = 256
    momentum: float = 0.99
    crop_scale: tuple[float, float] = (0.08, 1.0)


@flax.struct.dataclass
class Views:
    """Two augmented views of each frame, normalised, (B, H, W, 3) each."""

    first: jax.Array
    second: jax.Array


class Head(nn.Module):
    """`layers` linear layers without biases, batch norms behind them, ReLUs in between.

    The last batch norm has neither scale nor shift, and is left out without `last_norm`.
    """

    layers: int
    hidden: int
    output: int
    last_norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = partial(nn.BatchNorm, use_running_average=False)
        for i in range(self.layers - 1):
            x = nn.Dense(self.hidden, use_bias=False, name=f"linear_{i}")(x)
            x = nn.relu(norm(name=f"norm_{i}")(x))
        x = nn.Dense(self.output, use_bias=False, name=f"linear_{self.layers - 1}")(x)
        if self.last_norm:
            x = norm(use_scale=False, use_bias=False, name="last_norm")(x)
        return x


@dataclass(frozen=True)
class Transformer:
    """μ-BERT's encoder, read at the contextual token; it has no running statistics."""

    encoder: MicronEncoder
    projector_layers = 3
    # The predictor of a transformer ends in a batch norm.
    last_norm = True
    # A random, fixed projection of patches keeps the training of transformers stable.
    frozen = ("encoder/patch_embed",)
    layout = timm.LAYOUT

    def init(self, key: jax.Array, images: jax.Array) -> tuple[Params, dict]:
        return dict(self.encoder.init(key, images)["params"]), {}

    def represented(
        self, params: Params, statistics: dict, images: jax.Array
    ) -> tuple[jax.Array, dict]:
        """What the heads read of images, (B, D), and the running statistics after them."""
        return self.encoder.bind({"params": params})(images).contextual_token, statistics

    def tokens(self, params: Params, statistics: dict, images: jax.Array) -> jax.Array:
        return self.encoder.bind({"params": params})(images).tokens

    def to_take_away(self, params: Params, statistics: dict) -> dict[str, np.ndarray]:
        return timm.of_micron_encoder(params, self.encoder.config)


@dataclass(frozen=True)
class Convolutions:
    """A ResNet, read at the mean of its features; like `Transformer`."""

    network: ResNet
    projector_layers = 2
    last_norm = False
    frozen = ()
    layout = torchvision.RESNET_LAYOUT

    def init(self, key: jax.Array, images: jax.Array) -> tuple[Params, dict]:
        variables = self.network.init(key, images)
        return dict(variables["params"]), dict(variables["batch_stats"])

    def represented(
        self, params: Params, statistics: dict, images: jax.Array
    ) -> tuple[jax.Array, dict]:
        variables = {"params": params, "batch_stats": statistics}
        features, changed = self.network.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(features, axis=(1, 2)), dict(changed["batch_stats"])

    def tokens(self, params: Params, statistics: dict, images: jax.Array) -> jax.Array:
        features = self.network.bind({"params": params, "batch_stats": statistics})(images)
        return features.reshape(len(features), -1, features.shape[-1])

    def to_take_away(self, params: Params, statistics: dict) -> dict[str, np.ndarray]:
        return torchvision.state_dict_of_resnet(params, statistics)


def _backbone(options: Options, model: ModelConfig) -> Transformer | Convolutions:
    dtype = compute_dtype(model)
    if options.backbone in resnet.DEPTHS:
        return Convolutions(ResNet(resnet.DEPTHS[options.backbone], dtype))
    if options.backbone == MICRON:
        return Transformer(MicronEncoder(model, dtype))
    raise UserError(
        f"config.objective.options.backbone is {options.backbone!r}; it takes "
        f"{', '.join((MICRON, *resnet.DEPTHS))}"
    )


class MoCoV3(Objective):
    """Symmetric InfoNCE over the batch of all devices; of a part of it with micro-batches.

    `extra` holds the moving averages of encoder and projector, `momentum`, and the running
    `statistics` of a ResNet.
    """

    Options = Options
    panels = {
        "contrast": {"contrast": "InfoNCE, both ways"},
        "queries that find their key": {"accuracy": "share"},
        "representation (0 = collapse)": {"contextual_std": "std over the batch"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        options = self.options
        if options.temperature <= 0 or options.hidden < 1 or options.output < 1:
            raise UserError(
                "config.objective.options: temperature, hidden and output must be positive; they "
                f"are {options.temperature}, {options.hidden} and {options.output}"
            )
        self.backbone = _backbone(options, config.model)
        self.frozen, self.layout = self.backbone.frozen, self.backbone.layout
        self.projector = Head(self.backbone.projector_layers, options.hidden, options.output)
        self.predictor = Head(2, options.hidden, options.output, self.backbone.last_norm)

    def init(self, key: jax.Array) -> Params:
        of_encoder, of_projector, of_predictor = jax.random.split(key, 3)
        images = self._no_images()
        encoder, statistics = self.backbone.init(of_encoder, images)
        seen, _ = self.backbone.represented(encoder, statistics, images)
        projected = jnp.zeros((2, self.options.output))
        return {
            "encoder": encoder,
            "projector": self.projector.init(of_projector, seen)["params"],
            "predictor": self.predictor.init(of_predictor, projected)["params"],
        }

    def _no_images(self):
        side = self.config.model.image_size
        return jnp.zeros((2, side, side, 3))

    def extra(self, params: Params) -> dict:
        copied = {name: params[name] for name in ("encoder", "projector")}
        _, statistics = self.backbone.init(jax.random.key(0), self._no_images())
        return {"momentum": jax.tree.map(jnp.copy, copied), "statistics": statistics}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Views:
        side, images = self.config.model.image_size, batch["current"].astype(jnp.float32) / 255
        keys = pair_keys(key, batch["index"])
        seen = []
        for number, recipe in enumerate(RECIPES):
            of_view = jax.vmap(lambda key, number=number: jax.random.fold_in(key, number))(keys)
            of_crop, of_change = jax.vmap(jax.random.split, out_axes=1)(of_view)
            scale = self.options.crop_scale
            (crop,) = random_crops(of_crop, images, 1, side, scale, CropConfig())
            changed = augmented(of_change, crop, recipe)
            seen.append((changed - IMAGENET_MEAN) / IMAGENET_STD)
        return Views(*seen)

    def loss(
        self, params: Params, extra: dict, views: Views, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        momentum, statistics = jax.lax.stop_gradient(extra["momentum"]), extra["statistics"]
        queries, keys, spread = [], [], []
        for images in (views.first, views.second):
            seen, statistics = self.backbone.represented(params["encoder"], statistics, images)
            projected = _headed(self.projector, params["projector"], seen)
            queries.append(_headed(self.predictor, params["predictor"], projected))
            spread.append(losses.contextual_std(seen))
            seen, _ = self.backbone.represented(momentum["encoder"], statistics, images)
            keys.append(_headed(self.projector, momentum["projector"], seen))
        crossed = zip(queries, reversed(keys), strict=True)
        ways = [info_nce(query, key, self.options.temperature) for query, key in crossed]
        contrast = ways[0][0] + ways[1][0]
        metrics = {
            "contrast": contrast,
            "accuracy": (ways[0][1] + ways[1][1]) / 2,
            "contextual_std": (spread[0] + spread[1]) / 2,
        }
        return contrast, (metrics, {"statistics": statistics})

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        share = 1 - schedules.teacher_momentum(self.options.momentum, progress)
        new = {name: params[name] for name in extra["momentum"]}
        momentum = optax.incremental_update(new, extra["momentum"], share)
        return {"momentum": momentum, "statistics": statistics["statistics"]}

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        return self.backbone.tokens(params["encoder"], extra["statistics"], images)

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        return self.backbone.to_take_away(params["encoder"], extra["statistics"])

    def flops_per_pair(self) -> float:
        options, model = self.options, self.config.model
        if options.backbone == MICRON:
            width, encoder = model.dim, flops.encoder_flops(model, model.grid)
        else:
            width, encoder = resnet.FEATURES, resnet.flops(options.backbone, model.image_size)
        between = (self.backbone.projector_layers - 2) * options.hidden
        projector = 2 * options.hidden * (width + between + options.output)
        predictor = 4 * options.hidden * options.output
        return 2 * (3 * (encoder + projector + predictor) + encoder + projector)


def info_nce(
    queries_BxK: jax.Array, keys_BxK: jax.Array, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """2T × the cross-entropy of finding each query's key among all, and how many are found."""
    queries, keys = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (queries_BxK, keys_BxK))
    logits = queries @ keys.T / temperature
    own = jnp.arange(len(logits))
    error = optax.losses.softmax_cross_entropy_with_integer_labels(logits, own)
    return 2 * temperature * jnp.mean(error), jnp.mean(jnp.argmax(logits, axis=1) == own)


def _headed(head: Head, params: Params, x: jax.Array):
    """What a head gives; its running statistics are never read, and are dropped."""
    given, _ = head.apply({"params": params}, x, mutable=["batch_stats"])
    return given

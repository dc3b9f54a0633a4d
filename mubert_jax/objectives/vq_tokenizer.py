"""A tokenizer of patches (VQ-VAE, van den Oord et al., 2017), whose tokens BEiT predicts.

It is small and trained on the same frames as BEiT, in place of DALL-E's. Each pair gives one
image, I_t. Codes are compared by their cosine, as in ViT-VQGAN (Yu et al., 2022).
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models.images import normalise
from mubert_jax.models.vit import patchify
from mubert_jax.objectives._tokenizers import Tokenizer
from mubert_jax.training.objective import Metrics, Params


@dataclass(frozen=True)
class Options:
    """What `config.objective.options` may hold.

    Attributes:
      codes: The size of the codebook.
      dim: The width of a code.
      width, blocks: Of the residual convolutions on either side of the codes.
      commitment: The weight of keeping the encoder's output near its codes.
      decay: Of the moving averages of which the codes are made.
      rare: Share of an even use below which a code is given up for a patch of the batch.
    """

    codes: int = 512
    dim: int = 32
    width: int = 128
    blocks: int = 2
    commitment: float = 0.25
    decay: float = 0.99
    rare: float = 0.1


class ResidualBlocks(nn.Module):
    """Convolutions over neighbouring patches: (B, g, g, width) -> the same shape."""

    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(self.blocks):
            y = nn.Conv(x.shape[-1], (3, 3), name=f"conv_{i}")(nn.gelu(x))
            x = x + nn.Dense(x.shape[-1], name=f"dense_{i}")(nn.gelu(y))
        return x


class Encoder(nn.Module):
    """Normalised images (B, H, W, 3) -> unit vectors (B, N, dim)."""

    options: Options
    patch_size: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        batch, grid = images.shape[0], images.shape[1] // self.patch_size
        x = nn.Dense(self.options.width, name="patch_embed")(patchify(images, self.patch_size))
        x = x.reshape(batch, grid, grid, -1)
        x = ResidualBlocks(self.options.blocks, name="blocks")(x)
        return unit(nn.Dense(self.options.dim, name="head")(x).reshape(batch, grid**2, -1))


class Decoder(nn.Module):
    """Codes (B, N, dim) -> patches (B, N, ps²·3)."""

    options: Options
    patch_size: int

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        batch, number, _ = codes.shape
        grid = round(number**0.5)
        x = nn.Dense(self.options.width, name="embed")(codes).reshape(batch, grid, grid, -1)
        x = ResidualBlocks(self.options.blocks, name="blocks")(x)
        pixels = nn.Dense(3 * self.patch_size**2, name="pred")(nn.gelu(x))
        return pixels.reshape(batch, number, -1)


def unit(x: jax.Array) -> jax.Array:
    """Vectors of length 1 along the last axis."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


class VQTokenizer(Tokenizer):
    """The mean square error of the pixels, and the commitment to the codes.

    `extra` holds the codebook, `codes` (K, dim), and the moving averages of which it is made:
    `used` (K,), shares of all patches, and `sums` (K, dim).
    """

    Options = Options
    panels = {
        "reconstruction": {"reconstruction": "MSE of the pixels"},
        "codebook": {
            "codebook_use": "share of the codes in the batch",
            "perplexity": "even use of as large a share",
        },
    }

    def __init__(self, config: Config):
        super().__init__(config)
        for name in ("codes", "dim", "width"):
            if getattr(self.options, name) < 1:
                raise UserError(f"config.objective.options.{name} must be 1 or more")
        if config.training.micro_batches > 1:
            raise UserError(
                f"config.training.micro_batches is {config.training.micro_batches}: the codebook "
                "is made of whole batches; take a smaller config.training.batch_size instead"
            )
        patch_size = config.model.patch_size
        self.encoder = Encoder(self.options, patch_size)
        self.decoder = Decoder(self.options, patch_size)

    def init(self, key: jax.Array) -> Params:
        of_encoder, of_decoder = jax.random.split(key)
        model = self.config.model
        images = jnp.zeros((1, model.image_size, model.image_size, 3))
        codes = jnp.zeros((1, model.num_patches, self.options.dim))
        return {
            "encoder": self.encoder.init(of_encoder, images)["params"],
            "decoder": self.decoder.init(of_decoder, codes)["params"],
        }

    def extra(self, params: Params) -> dict:
        shape = self.options.codes, self.options.dim
        codes = unit(jax.random.normal(jax.random.key(self.config.training.seed), shape))
        used = jnp.full(shape[0], 1 / shape[0])
        return {"codes": codes, "used": used, "sums": codes * used[:, None]}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
        return normalise(batch["current"])

    def loss(
        self, params: Params, extra: dict, views: jax.Array, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        seen = self.encoder.bind({"params": params["encoder"]})(views)
        token_BxN = nearest(seen, extra["codes"])
        codes = extra["codes"][token_BxN]
        # The gradient of the codes is that of what they stand for.
        told = self.decoder.bind({"params": params["decoder"]})(
            seen + jax.lax.stop_gradient(codes - seen)
        )
        error = jnp.mean(jnp.square(told - patchify(views, self.config.model.patch_size)))
        commitment = jnp.mean(jnp.sum(jnp.square(seen - codes), axis=-1))
        seen_PxD = jax.lax.stop_gradient(seen).reshape(-1, seen.shape[-1])
        chosen_PxK = jax.nn.one_hot(token_BxN.reshape(-1), len(extra["codes"]))
        used = jnp.mean(chosen_PxK, axis=0)
        entropy = -jnp.sum(jnp.where(used > 0, used * jnp.log(used), 0))
        metrics = {
            "reconstruction": error,
            "commitment": commitment,
            "codebook_use": jnp.mean(used > 0),
            "perplexity": jnp.exp(entropy) / len(used),
        }
        # As many patches as there are codes, spread evenly over the batch.
        spread = jnp.linspace(0, len(seen_PxD) - 1, len(used)).astype(jnp.int32)
        statistics = {
            "used": used,
            "sums": chosen_PxK.T @ seen_PxD / len(seen_PxD),
            "patches": seen_PxD[spread],
        }
        return error + self.options.commitment * commitment, (metrics, statistics)

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        decay = self.options.decay
        used, sums = (
            decay * extra[name] + (1 - decay) * statistics[name] for name in ("used", "sums")
        )
        even = 1 / len(used)
        rare = used < self.options.rare * even
        used = jnp.where(rare, even, used)
        sums = jnp.where(rare[:, None], statistics["patches"] * even, sums)
        return {"codes": unit(sums), "used": used, "sums": sums}

    @property
    def vocabulary(self) -> int:
        return self.options.codes

    @property
    def side(self) -> int:
        return self.config.model.patch_size

    def reads(self, params: Params, extra: dict) -> dict:
        return {"encoder": params["encoder"], "codes": extra["codes"]}

    def tokens(self, read: dict, images: jax.Array) -> jax.Array:
        """The numbers of the patches' codes."""
        return nearest(self.encoder.bind({"params": read["encoder"]})(images), read["codes"])

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        return self.encoder.bind({"params": params["encoder"]})(images)


def nearest(seen_BxNxD: jax.Array, codes_KxD: jax.Array) -> jax.Array:
    """The code of the largest cosine, (B, N) int32."""
    return jnp.argmax(seen_BxNxD @ codes_KxD.T, axis=-1).astype(jnp.int32)

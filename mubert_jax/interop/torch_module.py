"""Micron-BERT as one self-contained PyTorch module: copy this file into a PyTorch project.

    model = MicronBert.from_pretrained("model.pth")      # what `mubert export` wrote
    patches, seen = model(normalise(onset), normalise(apex))

It needs only PyTorch (and safetensors, to read a .safetensors file). Tensor names are the
official ones (`backbone.*`, `att.*`, `decoder_*`), and `recognizer.*`. Images are (B, 3, H, W)
float, /255 and ImageNet-normalised. Where DMA reads pixels, a GPU needs
`torch.backends.cudnn.allow_tf32 = False`: TF32 would round a micro-movement away.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# What `MicronBert.compare` sees, by name; None is what a model of its kind does not compute.
Seen = dict[str, torch.Tensor | None]


@dataclasses.dataclass(frozen=True)
class MicronBertConfig:
    """Sizes and switches; the defaults are the paper's."""

    image_size: int = 224
    patch_size: int = 8
    dim: int = 512
    depth: int = 4
    heads: int = 4
    mlp_ratio: float = 4.0
    decoder_dim: int = 512
    decoder_depth: int = 4
    decoder_heads: int = 4
    dma: str = "diagonal"  # or "cross", "none"
    dma_reads: str = "tokens"  # or "pixels": windows of the image; or "motion"
    dma_window: int = 12  # the side of these windows
    motion_dim: int = 64  # the size of a motion token
    poi: bool = True
    poi_scale: str = "mean_one"  # or "literal"
    predict: str = "image"  # or "residual"
    classes: int = 0  # emotions that the recognizer tells apart; 0 for no recognizer
    recognizer_reads: str = "dma"  # or "movement", "displacement"
    pool: str = "mean"  # or "poi", "flatten", "displacement"
    places: str = "frame"  # or "face"
    fused_attention: bool = True

    @classmethod
    def from_model_section(cls, model: Mapping[str, Any], **options: Any) -> "MicronBertConfig":
        """From the section `model` of a mubert_jax config; `options` are fields of this class."""
        decoder, recognizer = model["decoder"], model["recognizer"]
        same = ("image_size", "patch_size", "dim", "depth", "heads", "mlp_ratio")
        values = {name: model[name] for name in same} | {
            "decoder_dim": decoder["dim"],
            "decoder_depth": decoder["depth"],
            "decoder_heads": decoder["heads"],
            "dma": model["dma"]["kind"],
            "dma_reads": model["dma"]["reads"],
            "dma_window": model["dma"]["window"],
            "motion_dim": model["dma"].get("motion_dim", 64),
            "poi": model["poi"]["enabled"],
            "poi_scale": model["poi"]["scale"],
            "predict": decoder["predict"],
            "classes": recognizer["classes"],
            "recognizer_reads": recognizer.get("reads", "dma"),
            "pool": recognizer["pool"],
            "places": recognizer.get("places", "frame"),
        }
        return cls(**values | options)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, fused: bool):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, x: torch.Tensor, contextual_row: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, L, D) -> (B, L, D) and, if asked for, token 0's attention (B, heads, L)."""
        b, length, dim = x.shape
        qkv = self.qkv(x).reshape(b, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if self.fused:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v
        out = self.proj(out.transpose(1, 2).reshape(b, length, dim))
        if not contextual_row:
            return out, None
        logits = (q[:, :, :1] @ k.transpose(-2, -1))[:, :, 0] * q.shape[-1] ** -0.5
        return out, logits.float().softmax(-1)


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-LN transformer block, eq. (3)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, fused: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, fused)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, round(dim * mlp_ratio))

    def forward(
        self, x: torch.Tensor, contextual_row: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        out, row = self.attn(self.norm1(x), contextual_row)
        x = x + out
        return x + self.mlp(self.norm2(x)), row


class PatchEmbed(nn.Module):
    def __init__(self, patch_size: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    """μ-Encoder, eq. (4), with the contextual token at index 0."""

    pos_embed: torch.Tensor

    def __init__(self, config: MicronBertConfig):
        super().__init__()
        dim, grid = config.dim, config.image_size // config.patch_size
        # 0.02, as in MAE and DINO.
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.register_buffer("pos_embed", _positions(grid, dim))
        self.patch_embed = PatchEmbed(config.patch_size, dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, config.mlp_ratio, config.fused_attention)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W), of any square size -> tokens (B, N + 1, D), S of eq. (11) (B, N)."""
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(f"images are {tuple(images.shape[-2:])}; they must be square")
        x = self.patch_embed(images)
        positions = self.pos_embed
        if len(x[0]) + 1 != positions.shape[1]:
            positions = _positions(round(len(x[0]) ** 0.5), x.shape[-1]).to(x)
        x = x + positions[:, 1:]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        *blocks, last = self.blocks
        for block in blocks:
            x, _ = block(x)
        x, row = last(x, contextual_row=True)
        scores = row.mean(1)[:, 1:]
        return self.norm(x), scores / scores.sum(-1, keepdim=True)


class DiagonalMicroAttention(nn.Module):
    """DMA, eq. (8), (9) and (12); q and k read tokens (B, N, D) or images (B, 3, H, W)."""

    def __init__(self, config: MicronBertConfig):
        super().__init__()
        dim = config.dim
        self.kind, self.pixels = config.dma, config.dma_reads == "pixels"
        if self.pixels:
            side, stride = config.dma_window, config.patch_size
            around = (side - stride) // 2
            self.to_q = nn.Conv2d(3, dim, side, stride, around)
            self.to_k = nn.Conv2d(3, dim, side, stride, around)
        else:
            self.to_q = nn.Linear(dim, dim)
            self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def queries(self, compared: torch.Tensor) -> torch.Tensor:
        return self._flat(self.to_q(compared))

    def keys(self, compared: torch.Tensor) -> torch.Tensor:
        return self._flat(self.to_k(compared))

    def _flat(self, x: torch.Tensor):
        return x.flatten(2).transpose(1, 2) if self.pixels else x

    def forward(
        self,
        swapped: torch.Tensor,
        reference: torch.Tensor,
        tokens: torch.Tensor,
        interest: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """What is compared, P_{t/s} (B, N, D), S (B, N) -> diag(Â) (B, N) or None, P_dma."""
        q, k, v = self.queries(swapped), self.keys(reference), self.to_v(tokens)
        logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        if self.kind == "cross":
            return None, self.proj(logits.softmax(-1) @ v)
        diagonal = logits.float().softmax(-1).diagonal(dim1=-2, dim2=-1)
        weights = diagonal if interest is None else diagonal * interest
        return diagonal, self.proj(weights[..., None].to(v.dtype) * v)

    def difference(self, current: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """The calibrated map m of what is compared: (B, N), 0 for equal frames."""
        q = (self.queries(current) - self.queries(reference)).float()
        k = (self.keys(current) - self.keys(reference)).float()
        return (q * k).sum(-1) * q.shape[-1] ** -0.5

    def displacement(self, current: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """How far each patch of two images moved: (B, N, 2) pixels to the right and down.

        argmin |q(reference) - q(current) + u·∇q|² / sqrt(D) + 0.03 |u|², ∇q of their mean; 0.03
        keeps the noise of flat patches from moving them.
        """
        mean = F.pad((current + reference) / 2, (1, 1, 1, 1), mode="replicate")
        across = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2
        down = (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2
        first, second = self.queries(current), self.queries(reference)
        moved = (self.queries(mean[..., 1:-1, 1:-1] + slope) for slope in (across, down))
        x, y = (q - (first + second) / 2 for q in moved)
        x, y, change = (q.float() * q.shape[-1] ** -0.25 for q in (x, y, second - first))
        xx, xy, yy = (x * x).sum(-1) + 0.03, (x * y).sum(-1), (y * y).sum(-1) + 0.03
        along_x, along_y = (x * change).sum(-1), (y * change).sum(-1)
        solved = torch.stack([xy * along_y - yy * along_x, xy * along_x - xx * along_y], -1)
        return solved / (xx * yy - xy**2)[..., None]


class MotionTrunk(nn.Module):
    """What moved between two images (B, 3, H, W), read off products of gradient and change."""

    def __init__(self, config: MicronBertConfig):
        super().__init__()
        self.patch_size, read = config.patch_size, 16
        halvings = config.patch_size.bit_length() - 1
        self.halvings = [f"conv_{i}" for i in range(halvings)]
        for name, width in zip(self.halvings, [32, 48] + [64] * halvings, strict=False):
            self.add_module(name, nn.Conv2d(read, width, 3, padding=1))
            read = width
        self.conv_patches = nn.Conv2d(read, config.motion_dim, 3, padding=1)
        self.conv_tokens = nn.Conv2d(2 * config.motion_dim, config.motion_dim, 3, padding=1)
        self.head = nn.Linear(config.motion_dim, 4)

    def forward(
        self, current: torch.Tensor, reference: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Motion tokens (B, N, D_m), the map m (B, N) and displacements (B, N, 2) in pixels.

        m is -log(1 - P(moved)). All are 0 for equal images.
        """
        a, b = _grey_levels(current), _grey_levels(reference)
        x = torch.cat([_products(a, b, sigma) for sigma in (0.7, 1.4)], dim=1)
        for name in self.halvings:
            x = F.avg_pool2d(F.gelu(self.get_submodule(name)(x)), 2)
        x = F.gelu(self.conv_patches(x))
        around = F.avg_pool2d(x, 7, 1, 3, count_include_pad=False)
        x = F.gelu(self.conv_tokens(torch.cat([x, around], dim=1)))
        tokens = x.flatten(2).transpose(1, 2)
        read = self.head(tokens)
        change = F.avg_pool2d((b - a).square(), self.patch_size).flatten(1)
        changed = -torch.expm1(-change / 0.1**2)
        moved = changed * F.softplus(read[..., 0])
        return tokens * changed[..., None], moved, read[..., 1:3] * changed[..., None]


class MotionAttention(nn.Module):
    """DMA by motion tokens: P_dma = V([W × P_{t/s}, motion tokens]), W = P(moved) × S."""

    def __init__(self, config: MicronBertConfig):
        super().__init__()
        self.trunk = MotionTrunk(config)
        self.to_v = nn.Linear(config.dim + config.motion_dim, config.dim)
        self.proj = nn.Linear(config.dim, config.dim)
        # P_dma -> how far it says that each patch moved, in pixels to the right and down.
        self.displacement_head = nn.Linear(config.dim, 2)

    def forward(
        self,
        swapped: torch.Tensor,
        reference: torch.Tensor,
        tokens: torch.Tensor,
        interest: torch.Tensor | None = None,
    ) -> tuple[None, torch.Tensor]:
        """Two images, P_{t/s} (B, N, D), S (B, N) -> P_dma; there is no diag(Â)."""
        motion, moved, _ = self.trunk(swapped, reference)
        weights = -torch.expm1(-moved)
        weights = weights if interest is None else weights * interest
        appearance = weights[..., None].to(tokens.dtype) * tokens
        return None, self.proj(self.to_v(torch.cat([appearance, motion.to(tokens.dtype)], dim=-1)))

    def difference(self, current: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """The map m, -log(1 - P(moved)): (B, N), 0 for equal images."""
        return self.trunk(current, reference)[1]

    def displacement(self, current: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """How far each patch of two images moved: (B, N, 2) pixels to the right and down."""
        return self.trunk(current, reference)[2]


def _grey_levels(images: torch.Tensor):
    """Normalised images (B, 3, H, W) -> luma (B, 1, H, W) in levels of 255."""
    mean, std, luma = torch.tensor(
        [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225], [0.299, 0.587, 0.114]], device=images.device
    )[..., None, None]
    return ((images.float() * std + mean) * (255 * luma)).sum(1, keepdim=True)


def _products(a: torch.Tensor, b: torch.Tensor, sigma: float):
    """Products of gradient and change of two grey images at one blur, (B, 8, H, W)."""
    a, b = _blurred(a, sigma), _blurred(b, sigma)
    mean = F.pad((a + b) / 2, (1, 1, 1, 1), mode="replicate")
    x = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2
    y = (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2
    e = (b - a) - _blurred(b - a, 6.0)
    n = (x**2 + y**2 + 2.0**2).sqrt()
    structure, change = (x * x / n, x * y / n, y * y / n), (x * e / n, y * e / n, e, e * e / n)
    scaled = [p / 4 for p in structure] + [p / 2 for p in change] + [n / 8]
    return torch.cat(scaled, dim=1)


def _blurred(image: torch.Tensor, sigma: float):
    """A Gaussian blur of (B, 1, H, W); edges are repeated."""
    reach = math.ceil(3 * sigma)
    place = torch.arange(-reach, reach + 1, device=image.device)
    weights = torch.exp(-((place / sigma) ** 2) / 2)
    weights = weights / weights.sum()
    padded = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def face_grid(values: torch.Tensor, poi_scores: torch.Tensor) -> torch.Tensor:
    """Values (B, N, D) of patches at N places of a grid over the face that S sees, (B, N, D)."""
    b, n, dim = values.shape
    grid = math.isqrt(n)
    scores = poi_scores.float()
    weights = (scores - 0.1 * scores.amax(-1, keepdim=True)).clamp(min=0)
    weights = (weights / weights.sum(-1, keepdim=True)).reshape(b, grid, grid)
    down, across = (_hats(weights.sum(axis)) for axis in (2, 1))
    rows = torch.einsum("bir,brcd->bicd", down, values.float().reshape(b, grid, grid, dim))
    return torch.einsum("bjc,bicd->bijd", across, rows).reshape(b, n, dim)


def _hats(share: torch.Tensor):
    """The weights of the patches along one axis (B, places, patches), of a distribution on them."""
    grid = share.shape[-1]
    patches = torch.arange(grid, device=share.device, dtype=share.dtype)
    middle = (share * patches).sum(-1, keepdim=True)
    spread = ((share * (patches - middle) ** 2).sum(-1, keepdim=True) + 1e-6).sqrt()
    reach = torch.linspace(-1.9, 1.9, grid, device=share.device, dtype=share.dtype)
    places = (middle + spread * reach).clamp(0, grid - 1)
    return (1 - (places[..., None] - patches).abs()).clamp(min=0)


class Recognizer(nn.Module):
    """P_dma pooled over the patches (mean, or weighted by S) and LN, or what each place shows.

    A place is a patch of the frame, or of a grid over the face. A linear layer follows.
    """

    def __init__(self, config: MicronBertConfig):
        super().__init__()
        self.reads, self.pool, self.places = config.recognizer_reads, config.pool, config.places
        size = (config.image_size // config.patch_size) ** 2
        if self.reads == "displacement" or (self.reads, self.pool) == ("dma", "displacement"):
            size *= 2
        elif self.reads == "dma" and self.pool == "flatten":
            size *= config.dim
        elif self.reads == "dma":
            size = config.dim
            self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(size, config.classes)

    def forward(self, seen: Seen) -> torch.Tensor:
        """What `compare` saw -> logits (B, classes)."""
        scores = present(seen, "poi_scores")
        if self.reads == "dma" and self.pool in ("mean", "poi"):
            features = present(seen, "dma_features")
            if self.pool == "mean":
                return self.head(self.norm(features.mean(1)))
            scores = scores.to(features.dtype)
            return self.head(self.norm(torch.einsum("bn,bnd->bd", scores, features)))
        name = self.reads
        if name == "dma":
            name = "displacement" if self.pool == "displacement" else "dma_features"
        read = present(seen, name)
        read = read[..., None] if read.ndim == 2 else read
        if self.places == "face":
            read = face_grid(read, scores)
        if self.reads == "movement":
            # Values well below 0.03 count as still.
            read = torch.log(read.clamp(min=0) + 0.03)
        return self.head(read.flatten(1).to(self.head.weight.dtype))


class MicronBert(nn.Module):
    """The whole model: `reconstruction, intermediates = model(swapped, reference)`."""

    decoder_pos_embed: torch.Tensor

    def __init__(self, config: MicronBertConfig = MicronBertConfig()):  # noqa: B008 (frozen)
        super().__init__()
        self.config = config
        self.backbone = Encoder(config)
        if config.dma != "none":
            by_motion = config.dma_reads == "motion"
            self.att = MotionAttention(config) if by_motion else DiagonalMicroAttention(config)
        grid = config.image_size // config.patch_size
        self.decoder_embed = nn.Linear(config.dim, config.decoder_dim)
        self.register_buffer("decoder_pos_embed", _positions(grid, config.decoder_dim))
        self.decoder_blocks = nn.ModuleList(
            Block(
                config.decoder_dim, config.decoder_heads, config.mlp_ratio, config.fused_attention
            )
            for _ in range(config.decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(config.decoder_dim, eps=1e-6)
        self.decoder_pred = nn.Linear(config.decoder_dim, config.patch_size**2 * 3)

        if config.classes:
            self.recognizer = Recognizer(config)

    @classmethod
    def from_pretrained(cls, path: str | Path, **options: Any) -> "MicronBert":
        """The model in a .pth or .safetensors file that `mubert export` wrote, in eval mode.

        `options` are fields of `MicronBertConfig` to change, such as `image_size`; `classes=5`
        starts a fresh recognizer where the file has none. Tensors that only training needs (the
        EMA teacher, DINO's heads) are ignored.
        """
        tensors, model_section = _read(path)
        return cls.from_tensors(
            tensors, MicronBertConfig.from_model_section(model_section, **options)
        )

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], config: MicronBertConfig
    ) -> "MicronBert":
        """The model with these tensors, by official name, in eval mode."""
        model = cls(config)
        unused = ("student.", "teacher.", "dino_loss_fn.")
        unused += ("att.",) if config.dma == "none" else ()
        state = {name: x for name, x in tensors.items() if not name.startswith(unused)}
        own = model.state_dict()
        if "recognizer.head.weight" not in state:
            state |= {name: x for name, x in own.items() if name.startswith("recognizer.")}
        state |= {name: x for name, x in own.items() if name.endswith("pos_embed")}
        model.load_state_dict(state, strict=True)
        return model.eval()

    def forward(self, swapped: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, Seen]:
        """Two (B, 3, H, W) images -> patches (B, N, ps²·3), laid out (row, column, channel).

        Also returns a dict of the intermediates. To look at two frames, give the onset as `swapped`
        and the apex as `reference`.
        """
        swapped_tokens, reference_tokens, seen = self.compare(swapped, reference)
        return self.reconstruct(swapped, present(seen, "dma_features")), {
            "swapped_tokens": swapped_tokens,
            "reference_tokens": reference_tokens,
            **seen,
        }

    def compare(
        self, swapped: torch.Tensor, reference: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Seen]:
        """Tokens (B, N + 1, D) of both images; by name S, P_dma, diag(Â) and the calibrated map.

        The last two are None without DMA; diag(Â) is None with cross-attention, too.
        """
        swapped_tokens, _ = self.backbone(swapped)
        reference_tokens, poi_scores = self.backbone(reference)
        diagonal, movement, features = None, None, swapped_tokens[:, 1:]
        if self.config.dma != "none":
            scale = poi_scores.shape[-1] if self.config.poi_scale == "mean_one" else 1
            interest = poi_scores * scale if self.config.poi else None
            compared = swapped_tokens[:, 1:], reference_tokens[:, 1:]
            if self.config.dma_reads != "tokens":
                compared = swapped, reference
            diagonal, features = self.att(*compared, swapped_tokens[:, 1:], interest)
            movement = self.att.difference(*compared)
        seen: Seen = {
            "poi_scores": poi_scores,
            "dma.diagonal": diagonal,
            "dma_features": features,
            "movement": movement,
        }
        read = self.config.recognizer_reads if self.config.classes else "nothing"
        if read == "displacement":
            seen["displacement"] = self.att.displacement(swapped, reference)
        told = (read, self.config.pool) == ("dma", "displacement")
        if told and isinstance(self.att, MotionAttention):
            seen["displacement"] = self.att.displacement_head(features)
        return swapped_tokens, reference_tokens, seen

    def difference(self, onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
        """The calibrated map of movement between two images: (B, N), 0 for equal images."""
        return present(self.compare(onset, apex)[2], "movement")

    def displacement(self, onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
        """How far each patch moved: (B, N, 2) pixels to the right and down; 0 for equal images."""
        return self.att.displacement(onset, apex)

    def logits(self, onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
        """Emotion logits (B, classes)."""
        _, _, seen = self.compare(onset, apex)
        return self.recognizer(seen)

    def reconstruct(self, swapped: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """I_t's patches (B, N, ps²·3) from P_dma; a residual is added to `swapped`."""
        patches = self.decode(features)
        if self.config.predict == "residual":
            patches = patches + patchify(swapped, self.config.patch_size)
        return patches

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        """P_dma (B, N, D) -> patches (B, N, ps²·3), eq. (5) and (6)."""
        if features.shape[1] + 1 != self.decoder_pos_embed.shape[1]:
            raise ValueError(
                f"{features.shape[1]} patches; this model was made for image_size="
                f"{self.config.image_size}: from_pretrained(FILE, image_size=...)"
            )
        x = self.decoder_embed(features) + self.decoder_pos_embed[:, 1:]
        for block in self.decoder_blocks:
            x, _ = block(x)
        return self.decoder_pred(self.decoder_norm(x))


def present(seen: Seen, name: str) -> torch.Tensor:
    """What `MicronBert.compare` saw under this name; ValueError if it computes nothing so named."""
    found = seen.get(name)
    if found is None:
        raise ValueError(f"this model computes no {name!r}")
    return found


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float, /255, ImageNet mean and standard deviation."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=images.device)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def patchify(images: torch.Tensor, patch_size: int) -> torch.Tensor:
    """(B, C, H, W) -> (B, N, ps²·C), a patch laid out (row, column, channel)."""
    b, c, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    x = images.reshape(b, c, rows, patch_size, columns, patch_size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, rows * columns, -1)


def _positions(grid: int, dim: int):
    """Fixed 2-D sin-cos positions (1, grid² + 1, dim), zero for the contextual token."""
    # The base 10000 is that of "Attention Is All You Need", section 3.5.
    frequencies = 1.0 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    index = torch.arange(grid**2)

    def encode(coordinates: torch.Tensor):
        angles = coordinates[:, None].double() * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    patches = torch.cat([encode(index % grid), encode(index // grid)], dim=1)
    return torch.cat([torch.zeros(1, dim), patches.float()])[None]


def _read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors by name, and the section `model` of the config that travels with them."""
    if str(path).endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            description = (file.metadata() or {}).get("mubert_jax")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    else:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        description = getattr(tensors, "_metadata", {}).get("", {}).get("mubert_jax")
    if description is None:
        raise ValueError(
            f"{path} was not written by `mubert export`; convert an official checkpoint with "
            "`mubert import`, then `mubert export`"
        )
    return tensors, json.loads(description)["config"]["model"]

"""What a config must hold to make sense, beyond the types of its keys."""

from typing import TYPE_CHECKING

from mubert_jax.errors import UserError

if TYPE_CHECKING:
    from mubert_jax.config import (
        Config,
        LossConfig,
        ModelConfig,
        RecognitionConfig,
        SwappingConfig,
    )


def check(config: "Config") -> None:
    """Raises UserError, naming the key, for a config that cannot be run."""
    model, swapping = config.model, config.swapping
    crop, dino = config.loss.crop, config.loss.dino
    positive = {
        "model.image_size": model.image_size,
        "model.patch_size": model.patch_size,
        "model.dim": model.dim,
        "model.depth": model.depth,
        "model.heads": model.heads,
        "model.decoder.dim": model.decoder.dim,
        "model.decoder.heads": model.decoder.heads,
        "model.dma.chunk": model.dma.chunk,
        "model.dma.motion_dim": model.dma.motion_dim,
        "training.batch_size": config.training.batch_size,
        "training.micro_batches": config.training.micro_batches,
        "optimizer.learning_rate": config.optimizer.learning_rate,
        "runtime.log_every": config.runtime.log_every,
        "runtime.checkpoint_every": config.runtime.checkpoint_every,
        "runtime.reader_threads": config.runtime.reader_threads,
        "data.delta[0]": config.data.delta[0],
        "swapping.min_block": swapping.min_block,
        "loss.contrastive_temperature": config.loss.contrastive_temperature,
        "loss.crop.local_size": crop.local_size,
        "loss.dino.hidden_dim": dino.hidden_dim,
        "loss.dino.bottleneck_dim": dino.bottleneck_dim,
        "loss.dino.output_dim": dino.output_dim,
        "loss.dino.student_temperature": dino.student_temperature,
        "loss.dino.teacher_temperature": dino.teacher_temperature,
        "loss.dino.warmup_teacher_temperature": dino.warmup_teacher_temperature,
    }
    for key, value in positive.items():
        _require(value > 0, f"config.{key} is {value}; it must be positive")
    _require(
        config.training.steps > 0 or config.training.epochs > 0,
        "config.training.epochs and config.training.steps are both zero; nothing would be trained",
    )
    counts = {
        "model.recognizer.classes": model.recognizer.classes,
        "loss.crop.local_crops": crop.local_crops,
    }
    for key, value in counts.items():
        _require(value >= 0, f"config.{key} is {value}; it cannot be negative")
    parts, batch = config.training.micro_batches, config.training.batch_size
    _divides(parts, batch, "training.micro_batches", "training.batch_size")
    _divides(model.patch_size, model.image_size, "model.patch_size", "model.image_size")
    _divides(model.heads, model.dim, "model.heads", "model.dim")
    _divides(model.decoder.heads, model.decoder.dim, "model.decoder.heads", "model.decoder.dim")
    for key, dim in {"model.dim": model.dim, "model.decoder.dim": model.decoder.dim}.items():
        _require(dim % 4 == 0, f"config.{key} is {dim}; 2-D sin-cos positions need a multiple of 4")
    if config.loss.agreement == "dino" and crop.local_crops:
        _divides(model.patch_size, crop.local_size, "model.patch_size", "loss.crop.local_size")
    low, high = config.data.delta
    _require(low <= high, f"config.data.delta is ({low}, {high}); the range is empty")
    _require(0 < swapping.ratio < 1, f"config.swapping.ratio is {swapping.ratio}; it takes (0, 1)")
    _require(
        0 < swapping.min_aspect <= 1,
        f"config.swapping.min_aspect is {swapping.min_aspect}; it takes (0, 1]",
    )
    _require(
        config.loss.agreement == "none" or crop.global_crops > 0,
        f"config.loss.crop.global_crops is {crop.global_crops}; the agreement "
        f"{config.loss.agreement!r} compares the frame with at least one crop",
    )
    _require(
        not config.loss.replaced_patch_weight
        or (model.dma.has_diagonal and swapping.kind == "swap"),
        f"config.loss.replaced_patch_weight is {config.loss.replaced_patch_weight}; "
        "replaced-patch detection needs config.model.dma.kind='diagonal', "
        "config.model.dma.reads='pixels' or 'tokens' and config.swapping.kind='swap'",
    )
    _require(
        model.dma.reads != "motion" or model.dma.kind == "diagonal",
        "config.model.dma.reads='motion' weighs every patch by itself, so it needs "
        f"config.model.dma.kind='diagonal', not {model.dma.kind!r}",
    )
    _require(
        model.dma.reads != "motion" or model.patch_size & (model.patch_size - 1) == 0,
        f"config.model.patch_size is {model.patch_size}; config.model.dma.reads='motion' halves "
        "the frame down to patches: choose a power of 2",
    )
    _require(
        model.dma.reads != "pixels" or _in_the_middle(model.dma.window, model.patch_size),
        f"config.model.dma.window is {model.dma.window}; it must be config.model.patch_size = "
        f"{model.patch_size} or an even number of pixels more",
    )
    for key in ("global_scale", "local_scale"):
        low, high = getattr(crop, key)
        _require(
            0 < low <= high <= 1,
            f"config.loss.crop.{key} is {(low, high)}; it needs 0 < low <= high <= 1",
        )
    low, high = crop.aspect
    _require(0 < low <= high, f"config.loss.crop.aspect is {(low, high)}; it needs 0 < low <= high")
    _require(
        model.dma.kind == "diagonal" or not model.poi.enabled,
        f"config.model.poi.enabled needs config.model.dma.kind='diagonal', not {model.dma.kind!r}: "
        "POI weighs the diagonal, eq. (12)",
    )
    _require(
        model.recognizer.reads != "movement" or model.dma.kind != "none",
        "config.model.recognizer.reads='movement' reads the calibrated map, which "
        "config.model.dma.kind='none' does not have",
    )
    _require(
        model.recognizer.reads != "displacement"
        or (model.dma.kind != "none" and model.dma.reads != "tokens"),
        "config.model.recognizer.reads='displacement' is between DMA's pixels; it needs "
        "config.model.dma.reads='pixels' or 'motion', and a config.model.dma.kind other than "
        "'none'",
    )
    _require(
        not model.recognizer.classes  # and so no recognizer yet: a backbone brings its own DMA
        or model.recognizer.reads != "dma"
        or model.recognizer.pool != "displacement"
        or (model.dma.kind != "none" and model.dma.reads == "motion"),
        "config.model.recognizer.pool='displacement' is what P_dma tells of motion tokens, which "
        "config.model.dma.reads='motion' has",
    )
    if config.objective.name == "micron_bert":
        _check_blocks(swapping, model)
        _check_warp(config.loss, model)
    _check_recognition(config.recognition)


def _in_the_middle(window: int, patch_size: int) -> bool:
    return window >= patch_size and (window - patch_size) % 2 == 0


def _check_recognition(recognition: "RecognitionConfig") -> None:
    for key, least in {
        "epochs": 1,
        "batch_size": 1,
        "copies": 0,
        "head_epochs": 0,
        "folds_at_once": 0,
        "magnification": 0,
    }.items():
        value = getattr(recognition, key)
        _require(value >= least, f"config.recognition.{key} is {value}; choose {least} or more")
    for key in ("learning_rate_factors", "epochs_factors"):
        factors = getattr(recognition, key)
        _require(
            len(set(factors)) == len(factors) and 0 < min(factors) and max(factors) < float("inf"),
            f"config.recognition.{key} is {factors}; it takes different numbers above 0",
        )
    seeds = recognition.seeds
    _require(
        len(set(seeds)) == len(seeds) and min(seeds) >= 0,
        f"config.recognition.seeds is {seeds}; it takes different numbers from 0 on",
    )


def _check_blocks(swapping: "SwappingConfig", model: "ModelConfig") -> None:
    _require(
        swapping.min_block <= swapping.ratio * model.num_patches,
        f"config.swapping.min_block is {swapping.min_block}, more than config.swapping.ratio of "
        f"the {model.num_patches} patches; one block would swap more than asked",
    )


def _check_warp(loss: "LossConfig", model: "ModelConfig") -> None:
    warp, places = loss.warp, loss.warp.places
    _require(
        not loss.warp_weight or model.dma.kind != "none",
        f"config.loss.warp_weight is {loss.warp_weight}; it reads the calibrated map, "
        "which config.model.dma.kind='none' does not have",
    )
    _require(places >= 1, f"config.loss.warp.places is {places}; choose 1 or more")
    for key in ("amplitude", "sigma", "noise", "quality"):
        low, high = getattr(warp, key)
        _require(
            0 < low <= high,
            f"config.loss.warp.{key} is {(low, high)}; it needs 0 < low <= high",
        )
    _require(
        not (loss.warp_weight and warp.compressed) or model.image_size % 8 == 0,
        f"config.model.image_size is {model.image_size}; compression works on blocks of 8 pixels: "
        "choose a multiple, or config.loss.warp.compressed=0",
    )


def _divides(divisor: int, value: int, divisor_key: str, value_key: str) -> None:
    _require(
        value % divisor == 0,
        f"config.{value_key} is {value}, not a multiple of config.{divisor_key} = {divisor}",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)

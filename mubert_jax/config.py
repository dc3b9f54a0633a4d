"""Typed configuration: frozen dataclasses built from an ml_collections ConfigDict.

A config file (`configs/*.py`) starts from `default_config()` or `paper_config()` and changes what
its experiment needs; `build()` turns the result into a `Config` and refuses unknown keys, wrong
types and impossible values with one line each.
"""

import dataclasses
from collections.abc import Iterator

import ml_collections

from mubert_jax import renamed
from mubert_jax.config_checks import check
from mubert_jax.config_values import choice, from_values, given, path_or, unless


@dataclasses.dataclass(frozen=True)
class DMAConfig:
    """Diagonal Micro-Attention, eq. (8) and (9)."""

    # diagonal: eq. (9). cross: full cross-attention, as the released weights were trained.
    # none: the decoder reads the encoder's tokens (MB1).
    kind: str = choice("diagonal", "cross", "none")
    # separate: W_q and W_k, as in the paper. shared: one projection for both.
    projection: str = unless(choice("shared", "separate"), "model.dma.reads", "motion")
    # What q and k are made of. tokens: the encoder's, as in the paper. pixels: the frame itself, a
    # window around each patch; beyond the paper: deep tokens drown a micro-movement in noise.
    # motion: neither; a trunk of convolutions that known movements teach says what moved, and W is
    # P(moved) × S; beyond the paper.
    reads: str = choice("pixels", "tokens", "motion")
    # pixels: side of the window, the patch in its middle.
    window: int = given(12, "model.dma.reads", "pixels")
    # similarity: W_q = W_k = a·I, so that equal tokens attend to each other from step 0.
    initial: str = unless(choice("similarity", "xavier"), "model.dma.reads", "motion")
    # Logit of a token with itself at a similarity start: a = sqrt(logit / sqrt(d)).
    similarity_logit: float = given(12.0, "model.dma.reads", "tokens")
    # motion: the size of a motion token.
    motion_dim: int = given(64, "model.dma.reads", "motion")
    # Whether a linear layer follows, as in the official code.
    output_projection: bool = True
    # Rows of the attention that exist at one time; no (N, N) array is kept.
    chunk: int = unless(112, "model.dma.reads", "motion")

    @property
    def has_diagonal(self) -> bool:
        """Whether W is made of diag(Â), eq. (9)."""
        return self.kind == "diagonal" and self.reads != "motion"


@dataclasses.dataclass(frozen=True)
class POIConfig:
    """Patch of Interest, eq. (11) and (12)."""

    # Whether S weighs what the decoder reads, too: W = diag(Â) × S.
    enabled: bool = True
    # mean_one: S·N, mean 1. literal: S as in eq. (12), about 1/N.
    scale: str = given(choice("mean_one", "literal"), "model.poi.enabled")


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """The μ-Decoder, eq. (5) and (6)."""

    # Width of the decoder.
    dim: int = 512
    # Number of its blocks.
    depth: int = 4
    # Heads of their self-attention.
    heads: int = 4
    # image: the decoder gives I_t. residual: it gives I_t - I_{t/s}.
    predict: str = choice("image", "residual")


@dataclasses.dataclass(frozen=True)
class RecognizerConfig:
    """The head that names emotions, section 5.3."""

    # 0: the model has no recognizer.
    classes: int = 0
    # dma: P_dma, pooled, as the paper. Beyond it, patch by patch: movement, the calibrated map
    # (where it moved, and how much); displacement (which way, too), where DMA does not read tokens.
    reads: str = given(choice("dma", "movement", "displacement"), "model.recognizer.classes")
    # dma: mean over all patches, or weighted by S. Beyond the paper, each patch in its place:
    # flatten, all of P_dma; displacement, how far and which way P_dma says that it moved, where DMA
    # reads motion.
    pool: str = given(
        choice("mean", "poi", "flatten", "displacement"), "model.recognizer.reads", "dma"
    )
    # What is read patch by patch. frame: the patches of the frame. face: a grid over the face that
    # POI sees, so that a place is the same part of every face.
    places: str = choice("frame", "face")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network, and how it computes."""

    # Side of the square frames, in pixels.
    image_size: int = 224
    # Side of a patch, in pixels.
    patch_size: int = 8
    # Width of the encoder.
    dim: int = 512
    # Number of its blocks.
    depth: int = 4
    # Heads of their self-attention.
    heads: int = 4
    # Width of a block's MLP over that of the encoder or decoder.
    mlp_ratio: float = 4.0
    # auto: splash on TPUs, cudnn in bfloat16 on NVIDIA GPUs from Ampere on, explicit on a CPU, else
    # xla. cudnn's heads hold (dim / heads) a multiple of 8 numbers, up to 128.
    attention: str = choice("auto", "explicit", "mapped", "xla", "cudnn", "splash")
    # What products are computed in. auto: float32 on a CPU, else bfloat16.
    dtype: str = choice("auto", "float32", "bfloat16")
    # Blocks keep their input alone and are computed again in the backward pass: less memory, a
    # third more work. XLA's CPU compiler undoes it; there `micro_batches` and mapped attention do.
    remat: bool = False
    dma: DMAConfig = DMAConfig()
    poi: POIConfig = POIConfig()
    decoder: DecoderConfig = DecoderConfig()
    recognizer: RecognizerConfig = RecognizerConfig()

    @property
    def grid(self) -> int:
        """Patches along one side; N = grid²."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        return self.grid**2


@dataclasses.dataclass(frozen=True)
class SwappingConfig:
    """Blockwise Swapping, Algorithm 1."""

    # swap: blocks come from the reference. mask: they are blanked and the encoder sees the blanks,
    # as in SimMIM; every patch is scored.
    kind: str = choice("swap", "mask")
    # Share of the patches that are swapped.
    ratio: float = 0.5
    # Patches of the smallest block.
    min_block: int = 16
    # Smallest height of a block over its width, or width over height.
    min_aspect: float = 0.3


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """What a frame may be seen under, drawn anew for each view; beyond the paper, 0 is off.

    The swapped frame and its target share one light; the reference has another. Every view has
    noise of its own.
    """

    # Largest relative change of the light over the whole frame.
    gain: float = 0.0
    # Largest relative change of the light from one side of the frame to the other.
    gradient: float = 0.0
    # Largest standard deviation of the noise, in grey levels of 255; each view draws its own.
    noise: float = 0.0


@dataclasses.dataclass(frozen=True)
class WarpConfig:
    """Movements that are put on a frame, and what else changes until it is seen again.

    Beyond the paper. Lengths are pixels of a 224-pixel frame, like `--conditions` of
    `mubert prepare synthetic`.
    """

    # Largest movement of a pair; drawn on a logarithmic scale.
    amplitude: tuple[float, float] = (0.3, 3.0)
    # How many places may move.
    places: int = 3
    # Their Gaussian widths, as shares of the frame's side.
    sigma: tuple[float, float] = (0.02, 0.09)
    # What registration leaves of the head's own movement.
    drift: float = 0.6
    # Share of pairs whose second frame was moved back by up to 2 pixels, as registration does.
    registered: float = 0.7
    # Share of pairs in which what is around the middle of the frame moves by itself.
    surroundings: float = 0.0
    # Relative change of the light over the whole frame.
    gain: float = 0.08
    # Relative change of the light from one side of the frame to the other.
    gradient: float = 0.08
    # Standard deviation of the sensor's noise, in grey levels of 255.
    noise: tuple[float, float] = (0.5, 5.0)
    # Share of frames that are compressed.
    compressed: float = 0.5
    # JPEG quality that compressed frames are given.
    quality: tuple[float, float] = (50.0, 98.0)


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """Crop(I_{t+δ}) of eq. (10): random resized crops; scale is the share of the frame's area."""

    # Area of a crop that is brought to the frame's size.
    global_scale: tuple[float, float] = (0.4, 1.0)
    # Area of a small crop.
    local_scale: tuple[float, float] = given((0.05, 0.4), "loss.agreement", "dino")
    # Height of a crop over its width.
    aspect: tuple[float, float] = (0.75, 1.3333)
    # Side of a small crop, in pixels.
    local_size: int = given(96, "loss.agreement", "dino")
    # Views beside the frame itself, which is the first global view. mse uses one global crop.
    global_crops: int = 1
    # Small crops of each frame.
    local_crops: int = given(8, "loss.agreement", "dino")


@dataclasses.dataclass(frozen=True)
class DinoConfig:
    """Projector, temperatures and teacher of the agreement `dino`."""

    # Width of the projector's hidden layers.
    hidden_dim: int = 2048
    # Width of the layer before its last.
    bottleneck_dim: int = 256
    # Width of what it gives.
    output_dim: int = 128
    # How sharp the student is.
    student_temperature: float = 0.1
    # How sharp the teacher is.
    teacher_temperature: float = 0.04
    # How sharp the teacher is at first.
    warmup_teacher_temperature: float = 0.04
    # Share of the training over which the teacher's temperature moves linearly.
    warmup_fraction: float = 0.1
    # Momentum of the EMA of what the teacher gives, which is subtracted.
    center_momentum: float = 0.9
    # EMA of the teacher; rises to 1 on a cosine.
    teacher_momentum: float = 0.997


# Agreements that compare the frame with crops of it.
AGREEING = ("mse", "dino", "contrastive")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """L = γ·L_r + β·L_agg, eq. (13)."""

    # γ of eq. (13).
    reconstruction_weight: float = 1.0
    # β of eq. (13).
    agreement_weight: float = given(1.0, "loss.agreement", *AGREEING)
    # mse: eq. (15). dino: as the official code. contrastive: beyond the paper.
    agreement: str = choice("none", *AGREEING)
    # Weight of finding the swapped patches by diag(Â); beyond the paper, which advises against it.
    replaced_patch_weight: float = 0.0
    # Weight of finding movements that were put on a frame, by the calibrated map; beyond the paper.
    warp_weight: float = 10.0
    warp: WarpConfig = given(WarpConfig(), "loss.warp_weight")
    # Weight of telling how far, and which way, the patches moved; beyond the paper.
    displacement_weight: float = given(2.0, "model.dma.reads", "motion")
    # Weight of POI's expecting where the pair changes, from one frame alone; beyond the paper.
    expectation_weight: float = 1.0
    # Weight of POI's looking at the face, where the data say where it is, as those of `mubert
    # prepare synthetic` do; beyond the paper.
    face_weight: float = 0.0
    # contrastive: how sharply a frame is to be told from the others of its batch.
    contrastive_temperature: float = given(0.1, "loss.agreement", "contrastive")
    crop: CropConfig = given(CropConfig(), "loss.agreement", *AGREEING)
    dino: DinoConfig = given(DinoConfig(), "loss.agreement", "dino")


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What is pretrained: a file of `mubert_jax.objectives`."""

    # Name of the file.
    name: str = "micron_bert"
    # Of another objective than Micron-BERT, which reads `loss`: the fields of its `Options`.
    options: dict = dataclasses.field(default_factory=dict)


MICRON_BERT = ("objective.name", "micron_bert")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the frames are, and how far apart those of a pair."""

    # A folder that `mubert prepare` made.
    path: str = path_or()
    # Temporal distance in frames, both ends included.
    delta: tuple[int, int] = (5, 11)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The updates and their rate: warm-up, then cosine to zero."""

    # adamw: Loshchilov and Hutter, 2019. lars: You et al., 2017, with the momentum beta1.
    name: str = choice("adamw", "lars")
    # Reached after the warm-up.
    learning_rate: float = 1e-4
    # Steps in which it rises from 0.
    warmup_steps: int = 0
    # Decay of matrices; vectors are spared.
    weight_decay: float = 0.05
    # Decay of the EMA of the gradient.
    beta1: float = 0.9
    # Decay of the EMA of its square.
    beta2: float = given(0.999, "optimizer.name", "adamw")
    # Global gradient norm above which gradients are scaled down; 0 does nothing.
    clip_norm: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long, in which batches, and from where."""

    # Pairs per step, over all devices.
    batch_size: int = 2048
    # How often every frame is drawn.
    epochs: float = given(100.0, "training.steps", 0)
    # A step takes its batch in so many parts, one after the other, in the memory of one.
    # Batch statistics (contrastive, dino's centre) are those of a part.
    micro_batches: int = 1
    # Replaces epochs when positive.
    steps: int = 0
    # Seed of everything that is random.
    seed: int = 0
    # A run's folder, an export of one, or "shipped", the package's own: its weights are what the
    # training starts from.
    init_from: str = path_or("shipped")


LINEAR_PROBE = "linear_probe"


@dataclasses.dataclass(frozen=True)
class RecognitionConfig:
    """`mubert finetune`, section 5.3: how a recognizer is trained, and who tests it."""

    # What is recognized. action_units: each unit that enough people show, apart from all others.
    target: str = choice("emotion", "action_units")
    # loso, composite, K-fold such as 5-fold, or cross:DATASET.
    protocol: str = "loso"
    seeds: tuple[int, ...] = (0, 1, 2)
    # A file of `mubert_jax.recognition.networks`. linear_probe: a linear layer on what is computed
    # once. micron_bert: everything learns. encoder: the encoder of any objective learns.
    network: str = LINEAR_PROBE
    # Of another network: the fields of its `Options`.
    options: dict = dataclasses.field(default_factory=dict, hash=False)
    # What the linear probe reads: the frozen backbone or, to compare with, encoder, how the tokens
    # of any objective's encoder change, or any motion map: difference, the change of grey, 28 × 28;
    # flow, Farnebäck's of each patch; strain, dis, ...
    features: str = given("backbone", "recognition.network", LINEAR_PROBE)
    # As many batches as all clips fill; of the linear probe, a step with all training clips.
    epochs: int = 300
    learning_rate: float = 0.05
    # Each fold takes the value that its own inner split of the training subjects likes best.
    weight_decay: tuple[float, ...] = (0.0001, 0.0003, 0.001, 0.003, 0.01)
    # Multiples of the learning rate and of the epochs, among which each fold chooses alike; every
    # combination is trained for the choice.
    learning_rate_factors: tuple[float, ...] = (1.0,)
    epochs_factors: tuple[float, ...] = (1.0,)
    # What unequal classes are evened out by: the loss, how often a clip is drawn, nothing.
    balance: str = choice("loss", "sampling", "none")
    # How many times as far MagNet moves the apex from the onset before anything reads them, by the
    # weights that MUBERT_MAGNET names; 0 leaves the frames as they are.
    magnification: float = 0.0
    # Inputs that are computed once are made of the onset and the apex (none), or of the onset and
    # each frame that `mubert prepare --clip-frames` stored, whichever the apex is, and of those
    # their mean, or each number where it is furthest from 0 (largest).
    clip_pooling: str = choice("none", "mean", "largest")
    # Paired augmentation: the same for onset and apex. Copies of each clip for a linear probe.
    copies: int = 4
    flip: bool = True
    # Largest shift as a share of the side, largest change of light as a share.
    shift: float = 0.04
    gain: float = 0.1
    # micron_bert, encoder: epochs of the head alone, on the frozen backbone, before all learns.
    head_epochs: int = given(300, "recognition.network", "micron_bert", "encoder")
    # All but the linear probe: clips per step, how much slower each layer learns than the one above
    # it, and how many folds are one program; 0 takes one on a CPU, where together is slower, and 8
    # elsewhere.
    batch_size: int = unless(16, "recognition.network", LINEAR_PROBE)
    layer_decay: float = unless(0.75, "recognition.network", LINEAR_PROBE)
    folds_at_once: int = unless(0, "recognition.network", LINEAR_PROBE)
    # Key of the published numbers that are printed beside, such as casme2-5.
    published: str = ""
    # Beside the result, what picking each fold's epoch on its own test clips would have reported.
    optimism: bool = False


@dataclasses.dataclass(frozen=True)
class PerceptionConfig:
    """How a checkpoint is looked at; changes nothing that is learnt."""

    # calibrated: 0 for equal frames by construction. diagonal: 1 - diag(Â), as the paper shows.
    map: str = choice("calibrated", "diagonal")
    # Registers the apex to the onset first: global drift hides micro-movements. ecc: shift and
    # turn of the whole frame. robust: shift, turn and light of an ellipse in the middle, where a
    # face is. poi: the same of where POI looks in the onset.
    align: str = choice("robust", "poi", "ecc", "none")
    # focused: S smoothed and sharpened, and m weighed with the probability that a patch moved
    # (`perception.focus`). attention: S as the contextual token's attention has it, W = m × S·N.
    poi: str = choice("focused", "attention")


# `runtime.sharding` of the larger models: matrices of the transformer over `fsdp` along one side
# and over `tensor` along the other, so that half a block needs one sum over `tensor`.
SHARDED = (
    (r"(qkv|fc1)/kernel", ("fsdp", "tensor")),
    (r"attn/proj/kernel|fc2/kernel", ("tensor", "fsdp")),
    (r".*", ()),
)


@dataclasses.dataclass(frozen=True)
class RuntimeConfig:
    """How a run is carried out; nothing here changes what is learnt: a restart may change it."""

    # Devices along (data, fsdp, tensor); -1 takes what is left.
    mesh: tuple[int, int, int] = (-1, 1, 1)
    # Ordered (regex, axes) pairs over parameter names, first match wins; axes are named per
    # dimension, "" leaves a dimension whole.
    sharding: tuple = ((".*", ()),)
    # Threads that read and decode.
    reader_threads: int = 8
    # Batches that are prepared ahead.
    prefetch: int = 4
    # Steps between two rows of metrics.
    log_every: int = 10
    # Steps between two checkpoints.
    checkpoint_every: int = 1000
    # Checkpoints that are kept; older ones are deleted.
    keep_checkpoints: int = 3
    # First and last step of a profiler trace in the run's folder; (0, 0) for none.
    profile_steps: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a pretraining run is made of."""

    objective: ObjectiveConfig = ObjectiveConfig()
    model: ModelConfig = ModelConfig()
    swapping: SwappingConfig = given(SwappingConfig(), *MICRON_BERT)
    augmentation: AugmentationConfig = given(AugmentationConfig(), *MICRON_BERT)
    loss: LossConfig = given(LossConfig(), *MICRON_BERT)
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    perception: PerceptionConfig = PerceptionConfig()
    # What a training is watched by: a file of `mubert_jax.evaluators` -> {"every": steps} and its
    # options. It changes nothing that is learnt.
    evaluation: dict = dataclasses.field(default_factory=dict)
    recognition: RecognitionConfig = RecognitionConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def default_config() -> ml_collections.ConfigDict:
    """The defaults as a locked ConfigDict, for config files to start from.

    They are the setting that sees best on the synthetic benchmark; `paper_config` is the paper's.
    """
    return renamed.config_dict(dataclasses.asdict(Config()))


def paper_config() -> ml_collections.ConfigDict:
    """The paper's method, without what the defaults add to it or do otherwise."""
    config = default_config()
    config.model.dma.projection = "separate"
    config.model.dma.reads = "tokens"
    config.loss.agreement = "dino"
    config.loss.warp_weight = 0.0
    config.loss.expectation_weight = 0.0
    config.perception.align = "none"
    config.perception.poi = "attention"
    return config


def build(values: ml_collections.ConfigDict | dict) -> Config:
    """Turns a ConfigDict (or nested dict) into a validated `Config`; keys left out keep defaults.

    Old names of keys (`mubert_jax.renamed`) are read without a word, as old checkpoints have them.

    Raises:
      UserError: unknown key, wrong type or impossible value; the message names the key.
    """
    if isinstance(values, ml_collections.ConfigDict):
        values = values.to_dict()
    config = from_values(Config, renamed.values(values), "config")
    check(config)
    return config


def to_dict(config: Config) -> dict:
    """A nested dict of plain values that `build` turns back into the same config."""
    return dataclasses.asdict(config)


def flatten(config: Config) -> dict[str, object]:
    """Dotted key -> value, e.g. `{"model.dim": 512, ...}`."""

    def walk(node: dict, prefix: str) -> Iterator[tuple[str, object]]:
        for key, value in node.items():
            if isinstance(value, dict) and value:
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    return dict(walk(to_dict(config), ""))

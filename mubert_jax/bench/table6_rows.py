"""The rows of Table 6: what pretrains them, what is read of them, and what the paper reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What a recognizer reads: how the tokens of any encoder change, or P_dma as in the paper.
ENCODER, P_DMA = "encoder", "dma"
FROZEN, TUNED = "frozen", "fine-tuned"
TOKENIZER, VIT_S, MOCO_V3 = "vq_tokenizer", "vit_s", "moco_v3_imagenet"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
      name: of its folder.
      title: as the table calls it.
      config: the file of configs/ that pretrains it; "" for none.
      reads: what its recognizers read, `ENCODER`, `P_DMA` or a motion map.
      paper: UF1 and UAR in percent on CAS(ME)³, as Table 6 gives them.
      small: overrides of keys at the small size.
      flag: the flag of `mubert table6` that gives its weights, which nothing here pretrains.
    """

    name: str
    title: str
    config: str = ""
    reads: str = ENCODER
    paper: tuple[float, float] | None = None
    small: Mapping[str, object] = field(default_factory=dict)
    flag: str = ""

    @property
    def run(self) -> str:
        """The name of its pretraining, which several rows may share."""
        return Path(self.config).stem


_MOCO = {"objective.options.hidden": 512, "objective.options.output": 128}
# A step of ResNet-101 takes 20 times as long as one of MAE.
_RESNET = _MOCO | {"optimizer.learning_rate": 0.3, "training.steps": 60}
ROWS = (
    Row("difference", "frame difference, no network", reads="difference"),
    Row("farneback", "Farnebäck flow, no network", reads="farneback"),
    Row("untrained", "the encoder, untrained"),
    Row(VIT_S, "ViT-S, ImageNet", paper=(20.34, 18.76), flag="--vit-s"),
    Row(MOCO_V3, "MoCo v3, ImageNet, its authors' weights", flag="--moco-v3"),
    Row(
        "moco_v3_r50",
        "MoCo v3, ResNet-50",
        "configs/baselines/moco_v3_r50.py",
        paper=(19.12, 17.36),
        small=_RESNET,
    ),
    Row(
        "moco_v3_r101",
        "MoCo v3, ResNet-101",
        "configs/baselines/moco_v3_r101.py",
        paper=(20.14, 18.52),
        small=_RESNET,
    ),
    Row("moco_v3", "MoCo v3", "configs/baselines/moco_v3.py", paper=(22.13, 19.34), small=_MOCO),
    Row("beit", "BEiT", "configs/baselines/beit.py", paper=(23.54, 19.89)),
    Row("mae", "MAE", "configs/baselines/mae.py", paper=(23.86, 20.87)),
    Row("mb1", "μ-BERT (MB1)", "configs/ablations/mb1.py", paper=(25.27, 22.96)),
    Row("mb2", "μ-BERT (MB2), DMA: P_dma", "configs/ablations/mb2.py", P_DMA, (27.35, 26.18)),
    Row("mb2-tokens", "the same, read like the others", "configs/ablations/mb2.py"),
    Row(
        "mb3", "μ-BERT (MB3), DMA and POI: P_dma", "configs/ablations/mb3.py", P_DMA, (32.64, 32.54)
    ),
    Row("mb3-tokens", "the same, read like the others", "configs/ablations/mb3.py"),
)
# Sizes for two CPU cores, on which all rows take about 40 minutes.
SMALL: Mapping[str, object] = {
    "model.image_size": 64,
    "model.dim": 128,
    "model.decoder.dim": 128,
    "model.decoder.depth": 2,
    "swapping.min_block": 4,
    "loss.crop.local_size": 32,
    "loss.crop.local_crops": 2,
    "loss.dino.hidden_dim": 256,
    "loss.dino.bottleneck_dim": 64,
    "data.delta": (3, 8),
    "training.batch_size": 16,
    "training.steps": 300,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 30,
}
SMALL_RECOGNITION: Mapping[str, object] = {
    "recognition.protocol": "5-fold",
    "recognition.epochs": 4,
    "recognition.learning_rate": 3e-4,
}
# What the tokenizer and BEiT have beside that.
_OWN = {
    TOKENIZER: {"objective.options.codes": 512, "objective.options.width": 128},
    "beit": {"objective.options.min_block": 4},
}


def overrides_at_small_size(run: str, small: Mapping[str, object]) -> list[str]:
    """The overrides of a pretraining, as the command line has them; `small` are the row's own."""
    together = {**SMALL, **_OWN.get(run, {}), **small}
    return as_overrides(together)


def as_overrides(values: Mapping[str, object]) -> list[str]:
    return [f"--config.{key}={value}" for key, value in values.items()]

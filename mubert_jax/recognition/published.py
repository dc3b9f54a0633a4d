"""Published results, to print beside one's own; nothing here was measured by this project.

The rows are those of Tables 1 to 6 of the paper (Micron-BERT, CVPR 2023) and, for the composite,
also those that HTNet, STSTNet, RCN, CapsuleNet and the challenge report themselves. They are not
comparable without care: some keep the best epoch on the test subject (HTNet and CapsuleNet do; for
most it is not known), which alone has been measured to raise an F1 from 0.70 to 0.84 (arXiv
2211.11425).
"""

from dataclasses import dataclass

from mubert_jax.config_values import unknown


@dataclass(frozen=True)
class Row:
    """One method's UF1 and UAR in percent, and their source."""

    method: str
    uf1: float
    uar: float
    note: str


@dataclass(frozen=True)
class Benchmark:
    """A data set with a number of classes, and the published rows for it."""

    title: str
    classes: int
    rows: tuple[Row, ...]


PAPER = "μ-BERT (the paper)"


def _rows(note: str, *rows: tuple[str, float, float]) -> tuple[Row, ...]:
    return tuple(Row(*row, note) for row in rows)


PUBLISHED = {
    "casme3-3": Benchmark(
        "CAS(ME)³, 3 classes",
        3,
        _rows(
            "Table 1",
            ("FR", 34.93, 34.13),
            ("STSTNet", 37.95, 37.92),
            ("RCN-A", 39.28, 38.93),
            (PAPER, 56.04, 61.25),
        ),
    ),
    "casme3-4": Benchmark(
        "CAS(ME)³, 4 classes",
        4,
        _rows(
            "Table 1",
            ("Baseline", 29.15, 29.10),
            ("Baseline (+ depth)", 30.01, 29.82),
            (PAPER, 47.18, 49.13),
        ),
    ),
    "casme3-7": Benchmark(
        "CAS(ME)³, 7 classes",
        7,
        _rows(
            "Table 1",
            ("Baseline", 17.59, 18.01),
            ("Baseline (+ depth)", 17.73, 18.29),
        )
        + _rows("Table 6, pretrained on ImageNet", ("ViT-S", 20.34, 18.76))
        + _rows(
            "Table 6, pretrained on CAS(ME)³",
            ("MoCo v3, ResNet-50", 19.12, 17.36),
            ("MoCo v3, ResNet-101", 20.14, 18.52),
            ("MoCo v3", 22.13, 19.34),
            ("BEiT", 23.54, 19.89),
            ("MAE", 23.86, 20.87),
            ("μ-BERT MB1: swapping alone", 25.27, 22.96),
            ("μ-BERT MB2: with DMA", 27.35, 26.18),
        )
        + _rows("Table 1; MB3 of Table 6", (PAPER, 32.64, 32.54)),
    ),
    "casme2-5": Benchmark(
        "CASME II, 5 classes",
        5,
        _rows(
            "Table 2",
            ("LR-GACNN", 70.90, 81.30),
            ("AMAN", 71.00, 75.40),
            ("Graph-TCN", 72.46, 73.98),
            ("DSTAN", 73.00, 75.00),
            ("GEME", 73.54, 75.20),
            ("MiMaNet", 75.90, 79.90),
            ("SMA-STN", 79.46, 82.59),
            ("TSCNN", 80.70, 80.97),
            (PAPER, 85.53, 83.48),
        ),
    ),
    "casme2-3": Benchmark(
        "CASME II, 3 classes",
        3,
        _rows(
            "Table 2; this UAR is its mean precision, UAR by its log is 81.90",
            ("STSTNet", 83.82, 86.86),
        )
        + _rows(
            "Table 2",
            ("OFF-ApexNet", 86.97, 88.28),
            ("MAE", 88.03, 87.28),
            (PAPER, 90.34, 89.14),
        ),
    ),
    "samm-5": Benchmark(
        "SAMM, 5 classes",
        5,
        _rows(
            "Table 3",
            ("AMAN", 67.00, 68.85),
            ("SMA-STN", 70.33, 77.20),
            ("GRAPH-AU", 70.45, 74.26),
            ("MTMNet", 73.60, 74.10),
            ("MiMaNet", 76.40, 76.70),
            ("MAE", 80.40, 88.98),
            (PAPER, 83.86, 84.75),
        ),
    ),
    "smic-3": Benchmark(
        "SMIC, 3 classes",
        3,
        _rows(
            "Table 4",
            ("DIKD", 71.00, 76.06),
            ("TSCNN", 72.36, 72.74),
            ("MTMNet", 74.40, 76.00),
            ("AMAN", 77.00, 79.87),
            ("MiMaNet", 77.80, 78.60),
            ("DSTAN", 78.00, 77.00),
            ("MAE", 81.86, 80.82),
            (PAPER, 85.50, 83.84),
        ),
    ),
    "composite-3": Benchmark(
        "MEGC2019 composite, 3 classes",
        3,
        _rows("by the challenge", ("LBP-TOP", 58.82, 57.85))
        + _rows(
            "by its own report; keeps the best epoch on the test subject",
            ("CapsuleNet", 65.20, 65.06),
            ("HTNet", 86.03, 84.75),
        )
        + _rows("by its own report", ("RCN", 74.32, 71.90))
        + _rows(
            "by its own report; this UAR is its mean precision, UAR by its log is 71.86",
            ("STSTNet", 73.53, 76.05),
        )
        + _rows(
            "Table 5",
            ("Dual-Inception", 73.22, 72.78),
            ("FR", 78.38, 78.32),
            ("NMER", 78.85, 78.24),
            ("GRAPH-AU", 79.14, 79.33),
            ("ICE-GAN", 84.50, 84.10),
            ("BDCNN", 85.09, 85.00),
            ("moment", 86.40, 85.70),
            ("MiMaNet", 88.30, 87.60),
            ("MAE", 88.50, 87.40),
            (PAPER, 89.03, 88.42),
        ),
    ),
}


def published(key: str) -> Benchmark:
    """The published results for `key`, such as casme2-5 or composite-3.

    Raises:
      UserError: there is no such key.
    """
    if key not in PUBLISHED:
        raise unknown(f"published {key!r}", key, PUBLISHED)
    return PUBLISHED[key]

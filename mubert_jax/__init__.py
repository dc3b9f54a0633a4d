"""Micron-BERT in JAX: facial micro-expressions from unlabelled video (CVPR 2023)."""

__version__ = "0.1.0"

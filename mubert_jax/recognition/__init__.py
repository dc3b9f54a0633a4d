"""Micro-expression recognition: protocols, UF1 and UAR, predictions and the report on them."""

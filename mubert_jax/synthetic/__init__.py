"""Synthetic people who are drawn, and whose movements are known: NumPy and OpenCV, no JAX."""

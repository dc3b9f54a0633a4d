"""Benchmarks of steps, the input pipeline and maps; what is compared is measured in one run."""

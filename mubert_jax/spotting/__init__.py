"""Spotting: when an expression happens in a long video."""

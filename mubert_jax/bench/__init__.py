"""What a step, a pipeline or a map is worth, measured side by side in one run."""

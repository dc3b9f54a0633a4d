"""One step, one loop, and what goes with them, for any objective."""

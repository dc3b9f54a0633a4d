"""`mubert pretrain`: from a config to a finished run."""

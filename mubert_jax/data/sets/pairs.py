"""Any table of clips (.csv, .xlsx): onset, apex (paths or frame numbers), label, subject."""

from mubert_jax.data.labelled.pair_table import PairTable

SET = PairTable()

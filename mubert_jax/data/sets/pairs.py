"""Any table of clips (.csv, .xlsx): onset, apex (paths or frame numbers), label, subject."""

from mubert_jax.data.labelled.labelled_set import PairTable

SET = PairTable()

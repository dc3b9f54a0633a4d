"""Any table of pairs (.csv, .xlsx): columns onset and apex (paths), label, subject."""

from mubert_jax.data.labelled.table import PairTable

SET = PairTable()

"""The composite of MEGC2019: SMIC-HS, CASME II and SAMM, 3 classes, 442 clips of 68 subjects."""

from mubert_jax.data.labelled.labelled_set import Composite
from mubert_jax.data.sets import casme2, samm, smic

SET = Composite("megc2019", (casme2.SET, samm.SET, smic.SET), classes=3, subjects=68)

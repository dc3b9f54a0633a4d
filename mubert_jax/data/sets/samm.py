"""SAMM: `006/006_1_2/006_05562.jpg`, grey, 200 frames per second, 29 subjects.

The sheet is MICRO_ONLY of SAMM_Micro_FACS_Codes_v2.xlsx, its header below a preamble of 13 rows in
most copies. In some copies the apex of 028_4_1 and 032_3_1 lies outside the clip.
"""

import re

from mubert_jax.data.labelled.annotation import Annotation, ClassScheme, LeftOut, Refused
from mubert_jax.data.labelled.labelled_set import COLUMNS, LabelledSet, annotation_of
from mubert_jax.data.labelled.sheets import Row

_CLIP = re.compile(r"(\d{1,3})_(\d+_\d+)", re.ASCII)
_CLASSES = ("anger", "contempt", "happiness", "surprise", "other")


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "006_1_2" of a clip's folder."""
    clip = _CLIP.fullmatch(parts[-1])
    return parts[-1] if clip and len(clip[1]) == 3 else None


def annotate(row: Row) -> Annotation:
    """The annotation in a row; subjects are 6 or "006", and in the clip's name."""
    clip, subject = row.identifier("clip"), row.identifier("subject")
    named = _CLIP.fullmatch(clip)
    if not named or not subject.isdecimal():
        raise Refused(
            f"subject {subject!r} and clip {clip!r} are not of SAMM (such as 006 and 006_1_2)"
        )
    if int(subject) != int(named[1]):
        raise Refused(f"clip {clip} is not of subject {subject}")
    if "macro" in row.text("kind").lower():
        raise LeftOut("a macro-expression")
    person = f"{int(subject):03d}"
    clip = f"{person}_{named[2]}"
    return annotation_of(row, "samm", person, clip, (clip,))


SET = LabelledSet(
    name="samm",
    title="SAMM",
    fps=200.0,
    example="006/006_1_2/006_05562.jpg",
    locate=locate,
    annotate=annotate,
    sheet_name="samm.*facs",
    sheet="MICRO_ONLY",
    columns=COLUMNS | {"kind": ("Micro",)},
    optional=("action_units", "kind"),
    schemes={
        5: ClassScheme(
            classes=_CLASSES,
            emotions={name: name for name in _CLASSES}
            | {"others": "other", "disgust": None, "fear": None, "sadness": None},
            published={
                "anger": 57,
                "contempt": 12,
                "happiness": 26,
                "surprise": 15,
                "other": 26,
            },
        ),
        3: ClassScheme(
            classes=("negative", "positive", "surprise"),
            emotions={
                "anger": "negative",
                "contempt": "negative",
                "disgust": "negative",
                "fear": "negative",
                "sadness": "negative",
                "happiness": "positive",
                "surprise": "surprise",
                "other": None,
                "others": None,
            },
            published={"negative": 92, "positive": 26, "surprise": 15},
            subjects=28,
        ),
    },
)

"""CASME II: `sub01/EP02_01f/img46.jpg` or `reg_img46.jpg`, 200 frames per second, 26 subjects.

The sheet is CASME2-coding-20140508.xlsx, or another version of it. One clip has no apex ("/"), one
has its apex at the onset; the 3 classes, those of MEGC2019, leave both out.
"""

import re

from mubert_jax.data.labelled.annotation import Annotation, ClassScheme, Refused
from mubert_jax.data.labelled.labelled_set import COLUMNS, LabelledSet, annotation_of
from mubert_jax.data.labelled.sheets import Row

_SUBJECT = re.compile(r"(?:sub)?0*(\d{1,3})", re.IGNORECASE)
_CLIP = re.compile(r"EP\d+_\w+", re.IGNORECASE)
_EMOTIONS = ("happiness", "disgust", "repression", "surprise", "others")
_NOT_IN_MEGC = "not in the list of MEGC2019"


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "sub01/ep02_01f" of a clip's folder."""
    if len(parts) < 2 or not _CLIP.fullmatch(parts[-1]):
        return None
    subject = _SUBJECT.fullmatch(parts[-2])
    return f"sub{int(subject[1]):02d}/{parts[-1].lower()}" if subject else None


def annotate(row: Row) -> Annotation:
    """The annotation in a row; subjects are 1, "01" or "sub01"."""
    subject = _SUBJECT.fullmatch(row.identifier("subject"))
    clip = row.identifier("clip")
    clip = clip[:2].upper() + clip[2:].lower()
    if not subject or not _CLIP.fullmatch(clip):
        raise Refused(
            f"subject {row.text('subject')!r} and clip {row.text('clip')!r} are not of CASME II "
            "(such as 01 and EP02_01f)"
        )
    name = f"sub{int(subject[1]):02d}"
    return annotation_of(row, "casme2", name, clip, (f"{name}/{clip.lower()}",))


SET = LabelledSet(
    name="casme2",
    title="CASME II",
    fps=200.0,
    example="sub01/EP02_01f/img46.jpg",
    locate=locate,
    annotate=annotate,
    sheet_name="casme2.*coding",
    columns=COLUMNS,
    schemes={
        5: ClassScheme(
            classes=_EMOTIONS,
            emotions={name: name for name in _EMOTIONS}
            | {"other": "others", "sadness": None, "fear": None},
            published={
                "happiness": 32,
                "disgust": 63,
                "repression": 27,
                "surprise": 25,
                "others": 99,
            },
            subjects=26,
        ),
        3: ClassScheme(
            classes=("negative", "positive", "surprise"),
            emotions={
                "disgust": "negative",
                "repression": "negative",
                "happiness": "positive",
                "surprise": "surprise",
                "others": None,
                "other": None,
                "sadness": None,
                "fear": None,
            },
            published={"negative": 88, "positive": 32, "surprise": 25},
            subjects=24,
            excluded={"sub04/EP12_01f": _NOT_IN_MEGC, "sub05/EP09_05f": _NOT_IN_MEGC},
        ),
    },
)

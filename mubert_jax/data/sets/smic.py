"""SMIC-HS, 100 frames per second, 16 subjects, no apexes and no action units.

Cropped: `SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image028400.bmp`; a folder is one whole
clip, so no sheet is needed. Long (HS-E): `SMIC_HS_E/s14/s14_ne_01/image034208.jpg`, with a sheet. A
clip is `s01_ne_01` here, as in the list of MEGC2019, and `s1_ne_01` on the disk.
"""

import re

from mubert_jax.data.labelled.annotation import Annotation, ClassScheme, Dropped, Refused
from mubert_jax.data.labelled.labelled_set import COLUMNS, LabelledSet, annotation_of
from mubert_jax.data.labelled.matching import ClipFolders
from mubert_jax.data.labelled.sheets import Row

_CLIP = re.compile(r"s0*(\d+)_(ne|po|sur?)_0*(\d+)", re.IGNORECASE)
_OTHER_CAMERA = re.compile(r"(smic.*)?(vis|nir)([_-]?e)?", re.IGNORECASE)
_CLASSES = ("negative", "positive", "surprise")
_CODES = {name[:2]: name for name in _CLASSES}


def _known(name: str) -> tuple[str, str, str] | None:
    """The subject, clip and emotion in a clip's name."""
    match = _CLIP.fullmatch(name)
    if match is None:
        return None
    subject = f"s{int(match[1]):02d}"
    emotion = _CODES[match[2][:2].lower()]
    code = "sur" if emotion == "surprise" else emotion[:2]
    return subject, f"{subject}_{code}_{int(match[3]):02d}", emotion


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "s01_ne_01" of a clip's folder; SMIC-VIS and SMIC-NIR have the same names."""
    known = _known(parts[-1])
    if known is None or any(_OTHER_CAMERA.fullmatch(part) for part in parts[-5:-1]):
        return None
    return known[1]


def annotate(row: Row) -> Annotation:
    """The annotation in a row; the emotion is in the clip's name, too."""
    known = _known(row.identifier("clip"))
    if known is None:
        raise Refused(f"clip {row.text('clip')!r} is not of SMIC (such as s1_ne_01)")
    subject, clip, emotion = known
    digits = re.sub(r"\D", "", row.identifier("subject"))
    if digits and int(digits) != int(subject[1:]):
        raise Refused(f"clip {clip} is not of subject {row.text('subject')}")
    if row.identifier("emotion").lower() not in ("", emotion):
        raise Refused(f"emotion {row.text('emotion')!r}, but the clip's name says {emotion}")
    second = row.text("second")
    notes = (f"second onset {second} not used",) if second.strip("-/") else ()
    return annotation_of(
        row, "smic", subject, clip, (clip,), apex=None, emotion=emotion, notes=notes
    )


def annotate_folders(folders: ClipFolders) -> tuple[list[Annotation], list[Dropped]] | None:
    """The annotations in the folders of the cropped release; None for another release."""
    clips = {
        known: paths[0]
        for clip, paths in sorted(folders.places.items())
        if (known := _known(clip)) is not None
    }
    if not {path.parent.name.lower() for path in clips.values()} <= set(_CLASSES):
        return None
    found, dropped = [], []
    for (subject, clip, emotion), path in clips.items():
        one = Annotation("smic", subject, clip, (clip,), None, None, None, emotion)
        said = path.parent.name.lower()
        if said == emotion:
            found.append(one)
        else:
            reason = f"{path} is in the folder {said}, but its name says {emotion}"
            dropped.append(Dropped(one.name, one.person, 0, said, reason, refused=True))
    return found, dropped


SET = LabelledSet(
    name="smic",
    title="SMIC-HS",
    fps=100.0,
    example="s1/micro/negative/s1_ne_01/reg_image028400.bmp",
    locate=locate,
    annotate=annotate,
    annotate_folders=annotate_folders,
    sheet_name="smic.*(annotation|spotting|hs)",
    columns={name: COLUMNS[name] for name in ("subject", "clip", "onset", "offset", "emotion")}
    | {"second": ("Onset2F", "Onset2", "Second onset")},
    optional=("subject", "emotion", "second"),
    skipped=("non_micro", "non-micro", "nonmicro", "vis", "nir"),
    has_apex=False,
    schemes={
        3: ClassScheme(
            classes=_CLASSES,
            emotions={name: name for name in _CLASSES},
            published={"negative": 70, "positive": 51, "surprise": 43},
            subjects=16,
        )
    },
)

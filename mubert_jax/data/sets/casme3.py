"""CAS(ME)3 part A: `spNO.1/a/color/175.jpg`, 30 frames per second, 1280x720, 94 subjects.

The sheet is cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx. A video holds several clips, so a clip is
the video's letter and its onset, `a_175`. Depth images beside the colour images are not read;
folders of single clips, `spNO.1_a_175/175.jpg`, are. The owners' lists of damaged frames and of
frames of poor quality, `exception/*.txt`, are for `--damaged`.
"""

import re
from collections.abc import Callable, Sequence

from mubert_jax.data.labelled.annotation import (
    Annotation,
    ClassScheme,
    LeftOut,
    Refused,
    frame_number,
)
from mubert_jax.data.labelled.labelled_set import COLUMNS, LabelledSet, annotation_of
from mubert_jax.data.labelled.sheets import Row

_SUBJECT = re.compile(r"(?:spNO\.?)?0*(\d+)", re.IGNORECASE)
_VIDEO = re.compile(r"[a-z]", re.IGNORECASE)
_CLIP = re.compile(r"spNO\.?0*(\d+)_([a-z])_0*(\d+)", re.IGNORECASE)
_LISTED = re.compile(
    r"spNO\.?0*(\d+)[/\\\s]+([a-z])[/\\\s]+(?:color[/\\]+)?(\d+)\.(?:jpg|png)", re.IGNORECASE
)
_NEGATIVE = ("disgust", "fear", "anger", "sad")
_CLASSES = ("disgust", "surprise", "others", "fear", "anger", "sad", "happy")
_SPELT = {"other": "others", "sadness": "sad", "happiness": "happy"}


def _scheme(
    classes: tuple[str, ...], class_of: Callable[[str], str | None], published: Sequence[int]
) -> ClassScheme:
    emotions = {name: class_of(name) for name in _CLASSES}
    emotions |= {spelt: emotions[name] for spelt, name in _SPELT.items()}
    return ClassScheme(classes, emotions, dict(zip(classes, published, strict=True)), 94)


def _coarse(name: str) -> str:
    return "negative" if name in _NEGATIVE else "positive" if name == "happy" else name


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "1/a" of a video's colour folder, "1/a/175" of a clip's own folder."""
    if clip := _CLIP.fullmatch(parts[-1]):
        return f"{clip[1]}/{clip[2].lower()}/{clip[3]}"
    if len(parts) < 3 or parts[-1].lower() != "color" or not _VIDEO.fullmatch(parts[-2]):
        return None
    subject = _SUBJECT.fullmatch(parts[-3])
    return f"{subject[1]}/{parts[-2].lower()}" if subject else None


def damaged_frame(line: str) -> tuple[str, int] | None:
    """Video and frame in a line such as ".../spNO.1/a/color/7.jpg" or "spNO.3 J 7.jpg no image"."""
    match = _LISTED.search(line)
    return match and (f"{match[1]}/{match[2].lower()}", int(match[3]))


def annotate(row: Row) -> Annotation:
    """The annotation in a row; the letter of a video may be a capital."""
    subject = _SUBJECT.fullmatch(row.identifier("subject"))
    video = row.identifier("clip").lower()
    if not subject or not _VIDEO.fullmatch(video):
        raise Refused(
            f"subject {row.text('subject')!r} and video {row.text('clip')!r} are not of "
            "CAS(ME)3 (such as spNO.1 and a)"
        )
    if "macro" in row.text("kind").lower():
        raise LeftOut("a macro-expression")
    onset = frame_number(row.text("onset"), "onset")
    onset = f"row{row.number}" if onset is None else onset
    place = f"{subject[1]}/{video}"
    places = (place, f"{place}/{onset}")
    return annotation_of(row, "casme3", f"spNO.{subject[1]}", f"{video}_{onset}", places)


SET = LabelledSet(
    name="casme3",
    title="CAS(ME)3",
    fps=30.0,
    example="spNO.1/a/color/175.jpg",
    locate=locate,
    annotate=annotate,
    damaged_frame=damaged_frame,
    sheet_name="partamelabel",
    columns=COLUMNS | {"emotion": ("Emotion",), "kind": ("Expression type",)},
    optional=("action_units", "kind"),
    skipped=("depth",),
    schemes={
        7: _scheme(_CLASSES, lambda name: name, (250, 187, 161, 86, 64, 57, 55)),
        4: _scheme(("negative", "positive", "surprise", "others"), _coarse, (457, 55, 187, 161)),
        3: _scheme(
            ("negative", "positive", "surprise"),
            lambda name: None if name == "others" else _coarse(name),
            (457, 55, 187),
        ),
    },
)

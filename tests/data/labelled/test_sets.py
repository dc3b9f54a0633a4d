"""The four data sets and their composite: exactly the clips and reasons that the trees hold."""

import csv
import datetime

import openpyxl
import pytest

from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.prepare import prepare_pairs
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError

from . import trees


def options(**others) -> PairOptions:
    return PairOptions(**{"size": 32, "crop": "none", "workers": 2} | others)


@pytest.fixture
def run(tmp_path, quiet):
    """Prepares a tree; gives the pairs and the rows of report.csv by clip."""

    def run(source, input, annotation=None, **others):
        output = tmp_path / "out"
        prepare_pairs(source, input, output, options(**others), annotation, quiet)
        with open(output / "report.csv", newline="") as file:
            rows = {row["clip"]: row for row in csv.DictReader(file)}
        return LabelledPairs(output, 32), rows

    return run


def stored(pairs: LabelledPairs) -> dict[str, tuple]:
    """(class, onset, apex, offset, apex source) of each pair by its clip's whole name.

    The images are checked to be those frames.
    """
    found = {}
    for i, record in enumerate(pairs.records):
        assert trees.shown(pairs.onset[i]) == record.onset_frame % 80
        assert trees.shown(pairs.apex[i]) == record.apex_frame % 80
        found[f"{record.subject}/{record.clip}"] = (
            pairs.classes[pairs.label[i]],
            record.onset_frame,
            record.apex_frame,
            record.offset_frame,
            record.apex_source,
        )
    return found


def reasons(rows, status) -> dict[str, str]:
    return {clip: row["reason"] for clip, row in rows.items() if row["status"] == status}


def test_casme2_in_5_classes(run, tmp_path):
    pairs, rows = run("casme2", trees.casme2(tmp_path / "casme2"))
    assert pairs.classes == ["happiness", "disgust", "repression", "surprise", "others"]
    assert stored(pairs) == {
        "casme2/sub01/EP02_01f": ("happiness", 46, 49, 52, "annotated"),
        "casme2/sub01/EP03_02": ("others", 10, 12, 15, "annotated"),
        "casme2/sub05/EP09_05f": ("disgust", 7, 7, 12, "annotated"),
        "casme2/sub05/EP13_01": ("surprise", 20, 23, 26, "nearest"),
        "casme2/sub06/EP02_01f": ("repression", 98, 101, 140, "annotated"),
    }
    assert reasons(rows, "repaired") == {
        "casme2/sub05/EP13_01": "apex 24 is not on the disk, 23 taken"
    }
    assert reasons(rows, "dropped") == {
        "casme2/sub04/EP12_01f": "no apex annotated (--apex midpoint or auto would find one)",
        "casme2/sub06/EP02_02": "sadness is none of the 5 classes",
        "casme2/sub06/EP03_03": "fear is none of the 5 classes",
    }
    assert reasons(rows, "kept") == {
        "casme2/sub01/EP02_01f": "",
        "casme2/sub01/EP03_02": "",
        "casme2/sub05/EP09_05f": "onset and apex are the same frame",
        "casme2/sub06/EP02_01f": "offset 140 is not on the disk",
    }
    assert [r.action_units for r in pairs.records] == ["6+12", "4", "4+L10", "25", ""]
    assert {r.fps for r in pairs.records} == {200.0}
    assert {r.face_box for r in pairs.records} == {(0, 0, 48, 48)}


def test_casme2_in_3_classes_leaves_out_what_megc_does(run, tmp_path):
    pairs, rows = run("casme2", trees.casme2(tmp_path / "casme2"), classes=3)
    assert pairs.classes == ["negative", "positive", "surprise"]
    assert {name: values[0] for name, values in stored(pairs).items()} == {
        "casme2/sub01/EP02_01f": "positive",
        "casme2/sub05/EP13_01": "surprise",
        "casme2/sub06/EP02_01f": "negative",
    }
    dropped = reasons(rows, "dropped")
    assert dropped["casme2/sub04/EP12_01f"] == "not in the list of MEGC2019"
    assert dropped["casme2/sub05/EP09_05f"] == "not in the list of MEGC2019"
    assert dropped["casme2/sub01/EP03_02"] == "others is none of the 3 classes"


def test_a_missing_apex_is_found_when_asked_for(run, tmp_path):
    pairs, rows = run("casme2", trees.casme2(tmp_path / "casme2"), apex="midpoint")
    assert stored(pairs)["casme2/sub04/EP12_01f"] == ("disgust", 5, 7, 9, "midpoint")
    assert rows["casme2/sub04/EP12_01f"]["apex_source"] == "midpoint"


def test_a_sheet_without_blank_columns_and_with_other_spellings(run, tmp_path):
    rows = [tuple(v for k, v in enumerate(row) if k not in (2, 6)) for row in trees.CASME2_ROWS]
    header = ("subject", "File Name", "onset", "Apex_Frame", "Offset frame", "AU", "Emotion")
    frames = trees.casme2(tmp_path / "casme2", rows, header)
    assert len(run("casme2", frames)[0]) == 5


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_the_sheet_may_lie_anywhere_and_be_a_csv(run, tmp_path, suffix):
    frames = trees.casme2(tmp_path / "casme2")
    sheet = tmp_path / f"mine.{suffix}"
    if suffix == "xlsx":
        (tmp_path / "casme2" / "CASME2-coding-20140508.xlsx").rename(sheet)
    else:
        lines = [trees.CASME2_HEADER, *trees.CASME2_ROWS[:2]]
        text = "\n".join(";".join("" if c is None else str(c) for c in line) for line in lines)
        sheet.write_text("\ufeffdownloaded from somewhere\n\n" + text)
    pairs, rows = run("casme2", frames, sheet)
    assert len(pairs) == (2 if suffix == "csv" else 5)
    assert rows["casme2/sub01/EP02_01f"]["row"] == ("4" if suffix == "csv" else "2")


def test_samm_in_5_classes(run, tmp_path):
    pairs, rows = run("samm", trees.samm(tmp_path / "samm"))
    assert stored(pairs) == {
        "samm/006/006_1_2": ("anger", 5562, 5565, 5569, "annotated"),
        "samm/006/006_1_3": ("happiness", 203, 206, 210, "annotated"),
        "samm/007/007_3_1": ("other", 30, 33, 37, "annotated"),
        "samm/013/013_1_9": ("surprise", 8340, 8343, -1, "annotated"),
    }
    assert reasons(rows, "repaired") == {
        "samm/013/013_1_9": "offset 834 left out, the onset is 8340"
    }
    assert rows["020 020_1_1"]["reason"] == "a macro-expression"
    assert rows["samm/011/011_1_1"]["reason"] == "disgust is none of the 5 classes"
    assert [r.action_units for r in pairs.records] == ["L12 or L14", "12", "10A/B", "1+2"]
    assert rows["samm/006/006_1_2"]["row"] == "15"


def test_samm_in_3_classes_with_the_preamble_stripped(run, tmp_path):
    pairs, rows = run("samm", trees.samm(tmp_path / "samm", preamble=()), classes=3)
    labels = {name.split("/")[-1]: values[0] for name, values in stored(pairs).items()}
    assert labels == {
        "006_1_2": "negative",
        "006_1_3": "positive",
        "011_1_1": "negative",
        "013_1_9": "surprise",
    }


def test_samm_apex_out_of_range(run, tmp_path):
    samm = trees.samm(tmp_path / "samm", [*trees.SAMM_ROWS, trees.SAMM_OUT_OF_RANGE])
    with pytest.raises(UserError, match=r"row 21 \(samm/028/028_4_1\): apex 310 after offset 305"):
        run("samm", samm)
    pairs, rows = run("samm", samm, apex="midpoint")
    assert stored(pairs)["samm/028/028_4_1"] == ("contempt", 300, 302, 305, "midpoint")
    assert reasons(rows, "repaired")["samm/028/028_4_1"] == (
        "apex 310 after offset 305, midpoint taken"
    )


def test_smic_cropped_needs_no_sheet(run, tmp_path):
    pairs, rows = run("smic", trees.smic(tmp_path))
    assert stored(pairs) == {
        "smic/s01/s01_ne_01": ("negative", 28400, 28404, 28408, "midpoint"),
        "smic/s01/s01_sur_02": ("surprise", 10, 11, 13, "midpoint"),
        "smic/s14/s14_po_03": ("positive", 51, 53, 55, "midpoint"),
    }
    assert {row["status"] for row in rows.values()} == {"kept"}


def test_smic_long_with_formulas_and_a_second_onset(run, tmp_path):
    pairs, rows = run("smic", trees.smic_long(tmp_path))
    assert stored(pairs) == {
        "smic/s14/s14_ne_01": ("negative", 34203, 34205, 34207, "midpoint"),
        "smic/s14/s14_po_02": ("positive", 102, 105, 108, "midpoint"),
    }
    assert reasons(rows, "kept")["smic/s14/s14_po_02"] == "second onset 112 not used"


def test_smic_automatic_apex_is_recorded(run, tmp_path):
    pairs, rows = run("smic", trees.smic(tmp_path), apex="auto")
    assert {r.apex_source for r in pairs.records} == {"auto"}
    for record in pairs.records:
        assert record.onset_frame < record.apex_frame <= record.offset_frame
        row = rows[f"{record.subject}/{record.clip}"]
        assert (row["apex"], row["apex_source"]) == (str(record.apex_frame), "auto")
    stored(pairs)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (None, ["disgust", "happy", "surprise", "sad", "others", "anger"]),
        (4, ["negative", "positive", "surprise", "negative", "others", "negative"]),
        (3, ["negative", "positive", "surprise", "negative", None, "negative"]),
    ],
)
def test_casme3(run, tmp_path, classes, labels):
    pairs, rows = run("casme3", trees.casme3(tmp_path / "casme3"), classes=classes)
    frames = {
        "casme3/spNO.1/a_175": (175, 178, 182, "annotated"),
        "casme3/spNO.1/a_190": (190, 193, 197, "annotated"),
        "casme3/spNO.1/j_20": (21, 23, -1, "annotated"),
        "casme3/spNO.2/b_2647": (2647, 2650, -1, "annotated"),
        "casme3/spNO.2/b_2660": (2660, 2660, 2664, "annotated"),
        "casme3/spNO.2/c_5": (5, 9, 70, "annotated"),
    }
    assert stored(pairs) == {
        name: (label, *numbers)
        for (name, numbers), label in zip(frames.items(), labels, strict=True)
        if label
    }
    assert reasons(rows, "repaired") == {
        "casme3/spNO.1/j_20": "offset 0 left out, the onset is 20; onset 20 is not on the disk, "
        "21 taken",
        "casme3/spNO.2/b_2647": "offset 3647 left out, the onset is 2647",
    }
    kept = reasons(rows, "kept")
    assert kept["casme3/spNO.2/c_5"] == "66 frames are long for a micro-expression"
    if classes == 3:
        assert reasons(rows, "dropped") == {
            "casme3/spNO.2/b_2660": "others is none of the 3 classes"
        }
    else:
        assert kept["casme3/spNO.2/b_2660"] == "onset and apex are the same frame"


def test_casme3_rows_that_cannot_be_right(run, tmp_path):
    casme3 = trees.casme3(tmp_path / "casme3", [*trees.CASME3_ROWS, *trees.CASME3_BAD])
    with pytest.raises(UserError) as error:
        run("casme3", casme3)
    message = str(error.value)
    assert "row 8 (casme3/spNO.2/c_50): apex 44 before onset 50" in message
    assert "--lenient" in message and "(2 more: row 9, row 10)" in message
    assert not (tmp_path / "out").exists()
    pairs, rows = run("casme3", casme3, lenient=True)
    assert len(pairs) == 6
    assert reasons(rows, "dropped") == {
        "casme3/spNO.2/c_50": "apex 44 before onset 50",
        "casme3/spNO.2/c_0": "onset 0 is not on the disk, so none was annotated",
        "casme3/spNO.2/c_21": "apex 3024 is 100 s after onset 21 "
        "(--apex midpoint or auto would find another)",
    }


def test_casme3_frames_that_its_owners_know_to_be_damaged(run, tmp_path):
    """The two ways in which the lists that ship with the annotations name a frame."""
    unreadable, poor = tmp_path / "damaged_image.txt", tmp_path / "bad_quality.txt"
    unreadable.write_text("spNO.1 A 178.jpg  the image cannot open\n\nspNO.2 b 9.jpg  the image\n")
    poor.write_text("/data/RGB/spNO.1/j/color/29.jpg\n/data/RGB/spNO.1/a/color/177.jpg\n")
    lists = (str(unreadable), str(poor))
    pairs, rows = run("casme3", trees.casme3(tmp_path / "casme3"), damaged=lists)
    found = stored(pairs)
    assert found["casme3/spNO.1/a_175"] == ("disgust", 175, 179, 182, "nearest")
    assert found["casme3/spNO.1/j_20"][:3] == ("surprise", 21, 23)
    assert rows["casme3/spNO.1/a_175"]["reason"] == (
        "apex 178 is not on the disk, 179 taken; apex 178 is in the list of damaged frames"
    )
    assert len(pairs) == 6


LISTED = (
    "spNO.1 A 178.jpg  the image cannot open",
    r"D:\casme3\RGB\spNO.1\a\color\177.JPG",
    "/data/RGB/spNO.1/a/color/176.jpg",
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk", "xlsx"])
def test_lists_of_damaged_frames_as_they_come(run, tmp_path, encoding, caplog):
    lines = ["坏的图像", *LISTED, ""]
    if encoding == "xlsx":
        rows = [line.split(" ", 2) for line in lines[1:]]
        path = trees.write_sheet(tmp_path / "list.xlsx", rows, lines[:1])
    else:
        path = tmp_path / "list.txt"
        path.write_bytes("\r\n".join(lines).encode(encoding))
    pairs, _ = run("casme3", trees.casme3(tmp_path / "casme3"), damaged=(str(path),))
    assert stored(pairs)["casme3/spNO.1/a_175"] == ("disgust", 175, 179, 182, "nearest")
    assert "names no frame, passed over" in caplog.text and "more" not in caplog.text


CASME3_ODD = [
    ("spNO.01", "A ", "175", "178.0", "182", "4", "IV", "Disgust "),
    (1, "a\u00a0", 190.0, "193,0", " 197", "12", "I", "HAPPY"),
    ("SPNO1", "J", "20", "23", "NA", "1+2", "II", "surprise\u200b"),
    ("spNO. 2", "\uff42", "2647", "\uff12\uff16\uff15\uff10", "/", 4, "III", "Sadness"),
]


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_casme3_as_people_type_it(run, tmp_path, suffix):
    frames = trees.casme3(tmp_path / "casme3", CASME3_ODD)
    sheet = next(frames.glob("*.xlsx"))
    if suffix == "csv":
        lines = [trees.CASME3_HEADER, *CASME3_ODD]
        text = "\r\n".join(";".join(map(str, line)) for line in lines)
        sheet.unlink()
        sheet = tmp_path / "x.csv"
        sheet.write_bytes(text.encode("utf-16"))
    pairs, _ = run("casme3", frames, sheet)
    assert {name: found[:4] for name, found in stored(pairs).items()} == {
        "casme3/spNO.1/a_175": ("disgust", 175, 178, 182),
        "casme3/spNO.1/a_190": ("happy", 190, 193, 197),
        "casme3/spNO.1/j_20": ("surprise", 21, 23, -1),
        "casme3/spNO.2/b_2647": ("sad", 2647, 2650, -1),
    }


def test_casme2_as_people_type_it(run, tmp_path):
    rows = [
        ("Sub1", " ep02_01F", None, "46", "49.0", "52", None, "6+12", "Happiness"),
        (1.0, "EP03_02\u00a0", None, 10, "12", "15,0", None, 4, "OTHERS"),
        ("'05", "EP13_01", None, 20.0, 23, "-", None, 25, "surprise "),
    ]
    assert stored(run("casme2", trees.casme2(tmp_path / "casme2", rows))[0]) == {
        "casme2/sub01/EP02_01f": ("happiness", 46, 49, 52, "annotated"),
        "casme2/sub01/EP03_02": ("others", 10, 12, 15, "annotated"),
        "casme2/sub05/EP13_01": ("surprise", 20, 23, -1, "annotated"),
    }


def test_samm_as_people_type_it(run, tmp_path):
    rows = [
        (6, "6_1_2", 1, "5562", "5565", "5569", 3, "Micro", 1, "anger "),
        ("007", "007_3_1\u200b", 3, "30", "33", "#N/A", 3, "Micro", 1, "OTHER"),
    ]
    assert stored(run("samm", trees.samm(tmp_path / "samm", rows))[0]) == {
        "samm/006/006_1_2": ("anger", 5562, 5565, 5569, "annotated"),
        "samm/007/007_3_1": ("other", 30, 33, -1, "annotated"),
    }


def test_smic_of_other_cameras_is_not_hs(run, tmp_path):
    frames = trees.smic(tmp_path)
    with pytest.raises(UserError, match="no clip of SMIC-HS"):
        run("smic", frames / "VIS")
    assert len(run("smic", frames)[0]) == 3


def test_a_merged_subject_is_that_of_all_its_rows(run, tmp_path):
    rows = [trees.CASME2_ROWS[0], (None, *trees.CASME2_ROWS[1][1:])]
    frames = trees.casme2(tmp_path / "casme2", rows)
    sheet = tmp_path / "casme2" / "CASME2-coding-20140508.xlsx"
    book = openpyxl.load_workbook(sheet)
    book.active.merge_cells("A2:A3")
    book.save(sheet)
    assert {who.split("/")[1] for who in run("casme2", frames)[0].subject} == {"sub01"}


@pytest.mark.parametrize("onset", [datetime.datetime(2024, 3, 1), "1.200", "=NOW()", "#REF!"])
def test_a_cell_that_cannot_be_trusted_costs_its_clip_alone(run, tmp_path, onset):
    rows = [*trees.CASME2_ROWS[:2], ("05", "EP13_01", None, onset, 23, 26, None, 25, "surprise")]
    frames = trees.casme2(tmp_path / "casme2", rows)
    with pytest.raises(UserError, match=r"row 4 \(05 EP13_01\): onset|row 4 .*may be 1200 or 1.2"):
        run("casme2", frames)
    assert len(run("casme2", frames, lenient=True)[0]) == 2


def test_action_units_that_became_a_date_are_noted_and_blank(run, tmp_path):
    day = datetime.datetime(2024, 1, 2)
    rows = [("01", "EP02_01f", None, 46, 49, 52, None, day, "happiness"), trees.CASME2_ROWS[1]]
    pairs, found = run("casme2", trees.casme2(tmp_path / "casme2", rows))
    assert [record.action_units for record in pairs.records] == ["", "4"]
    assert "action_units is a date (2024-01-02)" in found["casme2/sub01/EP02_01f"]["reason"]


def test_casme3_in_folders_of_single_clips(run, tmp_path):
    frames = tmp_path / "clips" / "frame"
    trees.write_frames(frames / "spNO.1_a_175", range(175, 183), "{}.jpg")
    trees.write_frames(frames / "spNO.1_a_190", range(190, 198), "{}.jpg")
    sheet = trees.write_sheet(tmp_path / "x.xlsx", trees.CASME3_ROWS[:2], trees.CASME3_HEADER)
    assert stored(run("casme3", frames, sheet)[0]) == {
        "casme3/spNO.1/a_175": ("disgust", 175, 178, 182, "annotated"),
        "casme3/spNO.1/a_190": ("happy", 190, 193, 197, "annotated"),
    }


def test_the_composite(run, tmp_path):
    inputs = {
        "casme2": trees.casme2(tmp_path / "casme2"),
        "samm": trees.samm(tmp_path / "samm"),
        "smic": trees.smic(tmp_path),
    }
    pairs, rows = run("megc2019", inputs, apex="midpoint")
    assert pairs.classes == ["negative", "positive", "surprise"]
    assert {name: values[0] for name, values in stored(pairs).items()} == {
        "casme2/sub01/EP02_01f": "positive",
        "casme2/sub05/EP13_01": "surprise",
        "casme2/sub06/EP02_01f": "negative",
        "samm/006/006_1_2": "negative",
        "samm/006/006_1_3": "positive",
        "samm/011/011_1_1": "negative",
        "samm/013/013_1_9": "surprise",
        "smic/s01/s01_ne_01": "negative",
        "smic/s01/s01_sur_02": "surprise",
        "smic/s14/s14_po_03": "positive",
    }
    assert pairs.dataset == [name.split("/")[0] for name in pairs.subject]
    sources = {r.dataset: r.apex_source for r in pairs.records if r.apex_source != "nearest"}
    assert sources == {"casme2": "annotated", "samm": "annotated", "smic": "midpoint"}
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| 17 | 10 | 2 | 7 | 0 |" in page
    assert "| negative | 4 | 250 | **-246** |" in page
    assert "| all | 10 | 442 | **-432** |" in page
    assert "| subjects | 8 | 68 | **-60** |" in page


def test_the_command_groups_clips_by_reason(tmp_path, quiet):
    rows = [*trees.CASME2_ROWS, ("09", "EP01_01", None, 1, 3, 5, None, "1", "sadness")]
    frames = trees.casme2(tmp_path / "casme2", rows)
    report = prepare_pairs("casme2", frames, tmp_path / "out", options(), console=quiet)
    lines = report.lines()
    start = lines.index(f"4 clips dropped (see {tmp_path / 'out' / 'report.md'}):")
    assert lines[start + 1 :] == [
        "  casme2/sub06/EP02_02 and 1 more: sadness is none of the 5 classes",
        "  casme2/sub04/EP12_01f: no apex annotated (--apex midpoint or auto would find one)",
        "  casme2/sub06/EP03_03: fear is none of the 5 classes",
    ]


def test_published_counts_are_those_of_the_owners():
    from mubert_jax.data.sets import casme2, casme3, megc2019, samm, smic

    totals = {
        (one.SET.name, classes): sum(scheme.published.values())
        for one in (casme2, casme3, samm, smic)
        for classes, scheme in one.SET.schemes.items()
    }
    assert totals == {
        ("casme2", 5): 246,
        ("casme2", 3): 145,
        ("casme3", 7): 860,
        ("casme3", 4): 860,
        ("casme3", 3): 699,
        ("samm", 5): 136,
        ("samm", 3): 133,
        ("smic", 3): 164,
    }
    for one in (casme2, casme3, samm, smic):
        for classes, scheme in one.SET.schemes.items():
            assert len(scheme.classes) == classes == len(scheme.published)
            assert set(scheme.emotions.values()) - {None} == set(scheme.classes)
    assert [member.name for member in megc2019.SET.members] == ["casme2", "samm", "smic"]

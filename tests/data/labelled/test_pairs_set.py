"""The stored pairs: one crop for both images; read by us and by TFDS; restarted when killed."""

import json

import numpy as np
import pytest

from mubert_jax.data.folder import subjects_of
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.index import Index
from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.prepare import PairWriter, prepare_pairs
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_image, encode_image
from mubert_jax.errors import UserError

from . import trees

OPTIONS = PairOptions(size=32, crop="none", workers=3)


class Killed(BaseException):
    """Stands for a signal: nothing of ours catches it."""


def contents(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.npz"
    }


@pytest.fixture
def casme2(tmp_path):
    return trees.casme2(tmp_path / "casme2")


@pytest.fixture
def prepared(casme2, tmp_path, quiet):
    prepare_pairs("casme2", casme2, tmp_path / "whole", OPTIONS, console=quiet)
    return tmp_path / "whole"


def test_a_killed_run_goes_on_to_the_same_bytes(casme2, prepared, tmp_path, quiet, monkeypatch):
    output, write, written = tmp_path / "out", PairWriter.write, []

    def write_two(self, path, clips):
        if len(written) == 2:
            raise Killed
        written.append(path.name)
        return write(self, path, clips)

    one_by_one = PairOptions(**vars(OPTIONS) | {"workers": 1})
    monkeypatch.setattr("mubert_jax.data.plan._SHARD_BYTES", 2 * 2 * 32**2 * 1.7)
    with monkeypatch.context() as patch:
        patch.setattr(PairWriter, "write", write_two)
        with pytest.raises(Killed):
            prepare_pairs("casme2", casme2, output, one_by_one, console=quiet)
    assert not (output / "dataset_info.json").exists()
    with pytest.raises(UserError, match="only half prepared"):
        LabelledPairs(output, 32)
    finished = {p: p.stat().st_mtime_ns for p in (output / ".progress").glob("*.json")}
    assert len(finished) == 2

    again = []
    monkeypatch.setattr(
        PairWriter,
        "write",
        lambda self, path, clips: again.append(path) or write(self, path, clips),
    )
    report = prepare_pairs("casme2", casme2, output, one_by_one, console=quiet)
    assert report.kept == 5 and len(again) == 1
    assert contents(output) == contents(prepared)


@pytest.mark.parametrize("moment", ["_index", "write_metadata"])
def test_killed_while_finishing(casme2, prepared, tmp_path, quiet, monkeypatch, moment):
    def kill(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"mubert_jax.data.prepare.{moment}", kill)
        with pytest.raises(Killed):
            prepare_pairs("casme2", casme2, tmp_path / "out", OPTIONS, console=quiet)
    assert not (tmp_path / "out" / "dataset_info.json").exists()
    prepare_pairs("casme2", casme2, tmp_path / "out", OPTIONS, console=quiet)
    assert contents(tmp_path / "out") == contents(prepared)


def test_a_finished_set_is_left_alone_and_another_plan_refused(casme2, prepared, quiet):
    before = contents(prepared)
    again = prepare_pairs("casme2", casme2, prepared, OPTIONS, console=quiet)
    assert again.already_complete and again.kept == 5
    for other, words in (
        ({"classes": 3}, "--classes is None there and 3 now"),
        ({"lenient": True}, "--lenient is False there and True now"),
    ):
        options = PairOptions(**vars(OPTIONS) | other)
        with pytest.raises(UserError, match=words):
            prepare_pairs("casme2", casme2, prepared, options, console=quiet)
    rows = [("01", "EP02_01f", None, 46, 50, 52, None, 4, "happiness"), *trees.CASME2_ROWS[1:]]
    sheet = casme2.parent / "CASME2-coding-20140508.xlsx"
    trees.write_sheet(sheet, rows, trees.CASME2_HEADER)
    with pytest.raises(UserError, match=r"--annotation is 5 clips \(\w+\) there and 5 clips"):
        prepare_pairs("casme2", casme2, prepared, OPTIONS, console=quiet)
    assert contents(prepared) == before


def test_a_set_from_before_an_option_is_one_without_it(casme2, prepared, quiet):
    path = prepared / "prepare.json"
    plan = json.loads(path.read_text())
    del plan["options"]["clip_frames"]
    path.write_text(json.dumps(plan))
    assert prepare_pairs("casme2", casme2, prepared, OPTIONS, console=quiet).already_complete
    options = PairOptions(**vars(OPTIONS) | {"clip_frames": 4})
    with pytest.raises(UserError, match="--clip-frames is None there and 4 now"):
        prepare_pairs("casme2", casme2, prepared, options, console=quiet)


def test_subjects_are_left_out_and_told(casme2, tmp_path, quiet, prepared):
    assert subjects_of(prepared) == ("casme2/sub01", "casme2/sub05", "casme2/sub06")
    (prepared / "index.npz").unlink()
    assert subjects_of(prepared) == ("casme2/sub01", "casme2/sub05", "casme2/sub06")
    options = PairOptions(**vars(OPTIONS) | {"exclude_subjects": ("casme2/sub05",)})
    report = prepare_pairs("casme2", casme2, tmp_path / "out", options, console=quiet)
    assert "2 clips left out by --exclude-subjects" in report.lines()
    assert subjects_of(tmp_path / "out") == ("casme2/sub01", "casme2/sub06")
    with pytest.raises(UserError, match="no such data-set folder"):
        subjects_of(tmp_path / "absent")


def test_clips_of_one_name_stay_apart_in_a_rebuilt_index(prepared):
    names = Index.build(prepared).video_names.tolist()
    assert names == Index.open(prepared).video_names.tolist()
    assert "casme2/sub01/EP02_01f" in names and "casme2/sub06/EP02_01f" in names


def test_tfds_reads_the_pairs(prepared):
    pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(prepared)
    examples = list(tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False)))
    pairs = LabelledPairs(prepared, 32)
    assert builder.info.features["label"].names == pairs.classes
    assert len(examples) == len(pairs) == 5
    for i, example in enumerate(examples):
        np.testing.assert_array_equal(example["onset"], pairs.onset[i])
        np.testing.assert_array_equal(example["apex"], pairs.apex[i])
        assert example["label"] == pairs.label[i]
        assert example["subject"].decode() == pairs.subject[i]
        assert example["apex_source"].decode() == pairs.records[i].apex_source


def test_what_is_no_pairs_set_is_refused(prepared, tmp_path, quiet, frames_set):
    with pytest.raises(UserError, match="no such data-set folder; make it with `mubert prepare"):
        LabelledPairs(tmp_path / "absent")
    with pytest.raises(UserError, match="a data set of frames, not of pairs"):
        LabelledPairs(frames_set, 32)
    with pytest.raises(UserError, match="a data set of pairs, not of frames"):
        FramePairs(prepared, image_size=32)
    with pytest.raises(UserError, match="stored as 32x32, asked for are 48x48.*--size 48"):
        LabelledPairs(prepared, 48)
    names = (prepared / "label.labels.txt").read_text()
    (prepared / "label.labels.txt").unlink()
    with pytest.raises(UserError, match="label.labels.txt.* cannot be read"):
        LabelledPairs(prepared, 32)
    (prepared / "label.labels.txt").write_text(names)
    shard = sorted(prepared.glob("pairs-train.*"))[0]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match="pairs-train.tfrecord-00000"):
        LabelledPairs(prepared, 32)


def test_a_label_beyond_the_classes_is_refused(prepared):
    (prepared / "label.labels.txt").write_text("happiness\ndisgust\n")
    with pytest.raises(UserError, match="has label .*, but there are 2 classes"):
        LabelledPairs(prepared, 32)


def test_one_box_of_the_onset_for_both_images(tmp_path, quiet, detect_bright):
    frames = tmp_path / "s1" / "micro" / "negative" / "s1_ne_01"
    frames.mkdir(parents=True)
    for number in range(1, 6):
        image = np.full((60, 80, 3), 50, np.uint8)
        image[20:40, 30 + number : 50 + number] = 250
        (frames / f"image{number}.png").write_bytes(encode_image(image, "png"))
    options = PairOptions(size=20, crop="face", margin=0.0, workers=1)
    prepare_pairs("smic", tmp_path / "s1", tmp_path / "out", options, console=quiet)
    pairs = LabelledPairs(tmp_path / "out", 20)
    assert pairs.records[0].face_box == (31, 20, 20, 20)
    assert pairs.onset.min() == 250
    assert (pairs.apex[0, :, :2] == 50).all() and (pairs.apex[0, :, 2:] == 250).all()


def test_a_table_of_pairs(tmp_path, quiet):
    images = trees.write_frames(tmp_path / "images" / "p1", range(1, 9), "f{}.png")
    table = tmp_path / "mine.csv"
    table.write_text(
        "onset,apex,label,subject,AU\n"
        "p1/f1.png,p1/f3.png,fear,p1,4\n"
        "p1/f5.png,p1/f6.png,joy,p1,12\n"
    )
    with pytest.raises(UserError, match=r"row 2 \(mine/p1/p1/f1\): onset .*f1.png: no such file"):
        prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)
    report = prepare_pairs("pairs", images.parent, tmp_path / "out", OPTIONS, table, quiet)
    assert "2 clips found, 2 kept" in report.lines()[1]
    pairs = LabelledPairs(tmp_path / "out", 32)
    assert pairs.classes == ["fear", "joy"]
    assert pairs.subject == ["mine/p1", "mine/p1"] and pairs.clip == ["p1/f1", "p1/f5"]
    assert [(r.onset_frame, r.apex_frame) for r in pairs.records] == [(1, 3), (5, 6)]
    assert [trees.shown(image) for image in pairs.apex] == [3, 6]


def test_frames_of_the_whole_movement(casme2, tmp_path, quiet):
    """From behind the onset to the offset, whatever the apex; cut and encoded as the apex is."""
    options = PairOptions(**vars(OPTIONS) | {"clip_frames": 4})
    prepare_pairs("casme2", casme2, tmp_path / "out", options, console=quiet)
    pairs = LabelledPairs(tmp_path / "out", 32)
    for record, clip, apex in zip(pairs.records, pairs.clip_frames, pairs.apex, strict=True):
        numbers = [trees.shown(decode_image(image)) for image in clip]
        onset, offset = record.onset_frame % 80, record.offset_frame % 80
        assert len(numbers) == 4 and numbers == sorted(numbers)
        assert numbers[0] == onset + 1 and numbers[-1] <= offset
        if record.apex_frame in (record.onset_frame + 1, record.offset_frame):
            assert encode_image(apex, "png") in clip
    stated = json.loads((tmp_path / "out" / "features.json").read_text())
    assert "clip_frames" in json.dumps(stated)
    with pytest.raises(UserError, match="--clip-frames is 4 there and 0 now"):
        prepare_pairs("casme2", casme2, tmp_path / "out", OPTIONS, console=quiet)


def test_two_images_hold_no_frames_between(tmp_path, quiet):
    table = write_table(tmp_path, [("joy", "a", 5)])
    options = PairOptions(**vars(OPTIONS) | {"clip_frames": 4})
    with pytest.raises(UserError, match="two images hold no frames between them, which --clip-fr"):
        prepare_pairs("pairs", None, tmp_path / "out", options, table, quiet)


def write_table(folder, rows):
    """Rows (label, subject, clip number of the apex), each with images of its own."""
    lines = ["onset,apex,label,subject"]
    for i, (label, subject, apex) in enumerate(rows):
        trees.write_frames(folder / f"c{i}", (1, 5), "f{}.png")
        lines.append(f"c{i}/f1.png,c{i}/f{apex}.png,{label},{subject}")
    table = folder / "t.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    return table


def test_people_and_classes_are_one_however_spelt_and_it_is_said(tmp_path, quiet):
    rows = [("joy", "01", 5), ("Joy", "1", 5), ("fear", "S03", 5), ("fear ", "s03", 5)]
    table = write_table(tmp_path, [*rows, ("joy", "\u200b1", 5), ("fear", "sub1", 5)])
    report = prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)
    pairs = LabelledPairs(tmp_path / "out", 32)
    assert pairs.classes == ["fear", "joy"] and len(set(pairs.subject)) == 3
    assert report.class_counts == {"fear": 3, "joy": 3} and pairs.notes == []
    said = "\n".join(report.lines())
    for words in (
        "note: subjects '01' (row 2) and '1' (rows 3, 6) are taken for one, '1'",
        "note: subjects 'S03' (row 4) and 's03' (row 5) are taken for one, 'S03'",
        "note: labels 'joy' (rows 2, 6) and 'Joy' (row 3) are taken for one, 'joy'",
        "warning: subjects '1' (rows 2, 3, 6) and 'sub1' (row 7) of t are taken for 2 people",
    ):
        assert words in said
        assert words[6:].split(": ")[-1] in (tmp_path / "out" / "report.md").read_text()
    again = prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)
    assert again.already_complete and "taken for one" in "\n".join(again.lines())


def test_two_spellings_with_clips_of_one_name_are_refused(tmp_path, quiet):
    table = write_table(tmp_path, [("joy", "01", 5), ("fear", "1", 5)])
    lines = table.read_text().splitlines()
    table.write_text("\n".join(f"{x},{'clip' if not i else 'a'}" for i, x in enumerate(lines)))
    with pytest.raises(UserError, match=r"two rows of one clip \(rows 2 and 3\)"):
        prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)


def test_two_spellings_in_a_set_of_an_older_version_are_one(tmp_path, quiet, monkeypatch):
    rows = [("joy", "01", 5), ("Joy", "1", 5), ("fear", "2", 5), ("fear", "S2", 5)]
    table = write_table(tmp_path, rows)
    with monkeypatch.context() as patch:
        module = "mubert_jax.data.labelled.pair_table"
        patch.setattr(f"{module}._one_spelling", lambda annotations: (annotations, ()))
        prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)
    assert subjects_of(tmp_path / "out") == ("t/01", "t/1", "t/2", "t/S2")
    pairs = LabelledPairs(tmp_path / "out", 32)
    assert pairs.subject == ["t/01", "t/01", "t/2", "t/S2"] and pairs.people[0] == pairs.people[1]
    assert pairs.classes == ["Joy", "fear"] and pairs.label.tolist() == [0, 0, 1, 1]
    assert len(pairs.notes) == 2 and all("taken for one" in note for note in pairs.notes)


def test_a_clip_without_movement_is_said_everywhere(tmp_path, quiet):
    rows = [("joy", "a", 1), ("joy", "b", 5), ("fear", "c", 5)]
    table = write_table(tmp_path, rows)
    (tmp_path / "c1" / "f5.png").write_bytes((tmp_path / "c1" / "f1.png").read_bytes())
    report = prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, table, quiet)
    line = "2 of 3 kept clips show no movement: onset and apex are the same frame (t/a/c0/f1 first)"
    assert f"warning: {line}" in report.lines()
    page = (tmp_path / "out" / "report.md").read_text()
    assert line in page and page.count("| onset and apex are the same frame |") == 2
    (note,) = LabelledPairs(tmp_path / "out", 32).notes
    assert note.startswith("2 of 3 clips show no movement")


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("onset,apex,label\na,b,c\n", {}, "no column subject"),
        ("onset,apex,label,subject\na,b,,d\n", {}, r"row 2 \(t/d/a\): no label"),
        ("onset,apex,label,subject\na,b,x,d\na,b,y,d\n", {}, "two rows of one clip"),
        ("onset,apex,label,subject\na,b,x,d\n", {"classes": 3}, "--classes is not for pairs"),
        ("onset,apex,label,subject\n", {}, "no clip below its header"),
        (None, {}, "pairs needs --annotation TABLE"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, quiet, table, options, words):
    path = None
    if table is not None:
        path = tmp_path / "t.csv"
        path.write_text(table)
    with pytest.raises(UserError, match=words):
        options = PairOptions(size=32, crop="none", **options)
        prepare_pairs("pairs", None, tmp_path / "out", options, path, quiet)


def test_the_plan_is_saved_before_any_shard(casme2, tmp_path, quiet, monkeypatch):
    def kill(*args):
        raise Killed

    monkeypatch.setattr(PairWriter, "write", kill)
    with pytest.raises(Killed):
        prepare_pairs("casme2", casme2, tmp_path / "out", OPTIONS, console=quiet)
    plan = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert plan["source"] == "casme2" and len(plan["clips"]) == 5


def test_a_labelled_set_is_not_for_the_maker_of_frames(casme2, tmp_path):
    with pytest.raises(UserError, match="casme2 is a labelled set"):
        prepare("casme2", casme2, tmp_path / "out")

"""`mubert prepare flow`: maps of pairs, and of published files; what is listed; restarts."""

import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from flow_tree import DOWN, RIGHT, bump, channels, write_flow
from PIL import Image
from rich.console import Console

from mubert_jax.data.flow_set import FLOW_FILE, FlowSet, write_flow_set
from mubert_jax.data.flow_sources import FlowMethod
from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.prepare import prepare_pairs
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.people import Person
from mubert_jax.data.prepare_flow import FlowOptions, prepare_flow
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import stacked

from .conftest import noise_image

ROWS = [
    (dataset, subject, f"c{clip}", ("disgust", "happy", "sad", "tense")[(clip + n) % 4])
    for n, (dataset, subject) in enumerate(
        [("casme2", "sub01"), ("casme2", "sub02"), ("samm", "006"), ("own lab", "a b")]
    )
    for clip in range(3)
]


def find_flow(onset, apex):
    """A made-up method: what changed, blurred so that its strain is seen at 28 × 28."""
    change = apex.astype(np.float32).mean(-1) - onset.mean(-1)
    blurred = cv2.GaussianBlur(change, (0, 0), 3)
    return np.stack([blurred, 2 * blurred.T], axis=-1)


METHOD = FlowMethod("made", find_flow)


@pytest.fixture(scope="module")
def _pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    with open(root / "table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("dataset", "subject", "clip", "label", "onset", "apex"))
        for number, row in enumerate(ROWS):
            for moment in (0, 1):
                seed = 2 * number + moment * (number != 5)  # the sixth shows no movement
                name = str(root / f"{number}-{moment}.png")
                cv2.imwrite(name, noise_image(seed, 40))
            writer.writerow((*row, f"{number}-0.png", f"{number}-1.png"))
    options = PairOptions(size=40, crop="none", workers=3)
    prepare_pairs("pairs", root, root / "set", options, root / "table.csv")
    return root / "set"


@pytest.fixture
def pairs(_pairs, tmp_path):
    """Four people, 12 clips of 4 classes; a copy that a test may damage."""
    return shutil.copytree(_pairs, tmp_path / "pairs")


@pytest.fixture(scope="module")
def _made(_pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "flow"
    prepare_flow(_pairs, folder, METHOD, FlowOptions(export="png"), Console(quiet=True))
    return folder


@pytest.fixture
def made(_made, tmp_path):
    """Their flow set; a copy that a test may damage."""
    return shutil.copytree(_made, tmp_path / "flow")


def test_it_says_what_the_pairs_say_and_holds_their_maps(pairs, made, tmp_path, quiet):
    stored, found = LabelledPairs(pairs, 40), FlowSet(made)
    for name in ("classes", "dataset", "subject", "clip", "people"):
        assert getattr(found, name) == getattr(stored, name), name
    np.testing.assert_array_equal(found.label, stored.label)
    frames = zip(stored.onset, stored.apex, strict=True)
    maps = [stacked(find_flow(*pair)) * (pair[0] != pair[1]).any() for pair in frames]
    np.testing.assert_array_equal(found.flow, maps)
    assert found.flow.shape == (12, 28, 28, 3) and found.flow.dtype == np.float32
    assert len(found) == 12 and found.info.method == "made"
    assert found.notes == [
        "1 of 12 clips show no movement (u and v are the same everywhere); "
        "they are learnt from and tested as they are labelled"
    ]
    options = FlowOptions(size=7, normalise="pixels")
    prepare_flow(pairs, tmp_path / "px", METHOD, options, quiet)
    in_pixels = FlowSet(tmp_path / "px").flow
    np.testing.assert_allclose(
        in_pixels[0], stacked(find_flow(stored.onset[0], stored.apex[0]), 7, "pixels")
    )


def test_people_who_are_drawn_are_drawn_people(made):
    info = FlowSet(made).info
    clips = FlowSet(made)
    clips.space = "made-up 3"
    write_flow_set(made, clips.flow, clips, type(info)(**vars(info) | {"space": "made-up 3"}))
    assert FlowSet(made).people[0] == Person.elsewhere("made-up 3", "sub01")


def test_the_report_counts_and_lists(pairs, tmp_path, quiet):
    drawn = []
    report = prepare_flow(
        pairs,
        tmp_path / "out",
        METHOD,
        console=quiet,
        draw=lambda flow, clips, onset, path: drawn.append((len(flow), len(clips), onset(3))),
    )
    assert report.lines()[1:4] == [
        "12 clips found, 12 kept, 0 dropped; 4 subjects",
        "disgust 3  happy 3  sad 3  tense 3",
        "casme2 6  own lab 3  samm 3",
    ]
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| casme2 | 1 | 2 | 2 | 1 | 6 | 2 |" in page and "![u, v and" in page
    assert "| own lab | 1 | 1 | 0 | 1 | 3 | 1 |" in page
    assert "- frames: size 40, crop none, align none" in page
    assert "onset and apex are the same frame" in page
    ((maps, clips, onset),) = drawn
    assert (maps, clips) == (12, 12)
    np.testing.assert_array_equal(onset, LabelledPairs(pairs, 40).onset[3])
    again = prepare_flow(pairs, tmp_path / "out", METHOD, console=quiet)
    assert again.already_complete and again.lines()[1:] == report.lines()[1:]


def test_what_is_exported_is_read_back(made, tmp_path, quiet):
    root = made / "three_norm_u_v_os"
    assert {path.name for path in root.iterdir()} == {"sub01", "sub02", "006", "own_lab-a_b"}
    (path,) = (root / "006" / "u_test" / "2").glob("*c0*")
    assert path.name == "006_c0 .png"
    found = FlowSet(made)
    row = list(zip(found.dataset, found.clip, strict=True)).index(("samm", "c0"))
    u_v_strain = found.flow[row].round()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), u_v_strain)
    np.testing.assert_array_equal(cv2.imread(str(path)), u_v_strain[..., ::-1])

    report = prepare_flow(made, tmp_path / "back", None, console=quiet)
    back = FlowSet(tmp_path / "back")
    assert back.classes == found.classes and report.dropped_clips == ["casme2/sub02/c2"], "still"
    known = {"own lab": "recorded/own_lab-a_b"}
    of = {(known.get(d, w), c): i for i, (d, w, c) in enumerate(_who(found))}
    for i, (_, who, clip) in enumerate(_who(back)):
        assert back.label[i] == found.label[of[who, clip]]
        assert np.abs(back.flow[i] - found.flow[of[who, clip]]).max() <= 0.5
    assert len(back) == 11


def _who(clips):
    return zip(clips.dataset, clips.subject, clips.clip, strict=True)


def test_u_train_of_a_person_has_the_clips_of_everybody_else(pairs, tmp_path, quiet):
    options = FlowOptions(export="png", with_train=True)
    prepare_flow(pairs, tmp_path / "out", METHOD, options, quiet)
    root = tmp_path / "out" / "three_norm_u_v_os"
    for folder in root.iterdir():
        trained = {path.name: path for path in (folder / "u_train").rglob("*.png")}
        others = {path.name: path for path in root.glob("*/u_test/*/*.png")}
        own = {path.name for path in (folder / "u_test").rglob("*.png")}
        assert trained.keys() == others.keys() - own and len(own) == 3
        for name, path in trained.items():
            assert path.parent.name == others[name].parent.name and path.samefile(others[name])


def test_names_that_no_file_can_have(pairs, quiet):
    from mubert_jax.data.labelled_clips import LabelledClips
    from mubert_jax.data.published_export import export_published

    names = ["a/b", "a\\b", "a_b", "A_B"]
    clips = LabelledClips(pairs, ["x"], [0] * 4, ["lab"] * 4, ["lab/1"] * 4, names)
    export_published(np.zeros((4, 28, 28, 3)), clips, pairs / "out", with_train=False)
    found = sorted(path.name for path in (pairs / "out" / "lab-1" / "u_test" / "0").iterdir())
    assert found == [f"lab-1_{x} .png" for x in ("A_B(4)", "a_b", "a_b(2)", "a_b(3)")]


def test_arrays(pairs, tmp_path, quiet):
    learnt = FlowMethod("made", find_flow, "7", {"groups": [], "unknown": ["x"]})
    prepare_flow(pairs, tmp_path / "out", learnt, FlowOptions(export="npz"), quiet)
    found = FlowSet(tmp_path / "out")
    assert found.info.seen == learnt.seen and found.info.version == "7"
    with np.load(tmp_path / "out" / "flow.npz") as arrays:
        np.testing.assert_array_equal(arrays["flow"], found.flow)
        assert arrays["classes"][arrays["label"][0]] == found.classes[found.label[0]]
        assert arrays["subject"].tolist() == found.subject
    assert not (tmp_path / "out" / "three_norm_u_v_os").exists()


def test_a_bad_pair_is_listed_and_stops_nothing(pairs, tmp_path, quiet):
    (shard, *_) = sorted(pairs.glob("*.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[200] ^= 255
    status = shard.stat()
    shard.write_bytes(content)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    calls = []

    def see(onset, apex):
        calls.append(onset)
        if len(calls) == 3:
            return np.full((40, 40, 2), np.nan)
        if len(calls) == 4:
            raise UserError("no flow here")
        if len(calls) == 5:
            cv2.calcOpticalFlowFarneback(onset, apex, None, 0.5, 1, 3, 1, 5, 1.1, 0)
        return find_flow(onset, apex)

    options = FlowOptions(export="png", workers=1)
    report = prepare_flow(pairs, tmp_path / "out", FlowMethod("made", see), options, quiet)
    assert len(report.kept) == len(FlowSet(tmp_path / "out")) == 8
    reasons = {row["reason"] for row in report.rows if row["status"] == "dropped"}
    assert {"the flow of made is not finite (NaN)", "no flow here"} < reasons
    assert any(shard.name in reason and "damaged" in reason for reason in reasons)
    assert any(reason.startswith("made cannot read frames of 40x40: ") for reason in reasons)
    assert not any("\n" in reason for reason in reasons)
    assert len(list((tmp_path / "out" / "three_norm_u_v_os").rglob("*.png"))) == 8


def test_pairs_of_which_none_can_be_used(_pairs, tmp_path, quiet, monkeypatch):
    def refuse(encoded):
        raise UserError("5 bytes are not an image")

    monkeypatch.setattr("mubert_jax.data.flow_sources.decode_image", refuse)
    said = "none of 12 clips could be used; the first: casme2/sub01/c0: 5 bytes are not an image"
    with pytest.raises(UserError, match=said):
        prepare_flow(_pairs, tmp_path / "none", METHOD, console=quiet)
    assert not (tmp_path / "none").exists()


def test_a_killed_run_goes_on_to_the_same_files(_pairs, made, tmp_path, quiet, monkeypatch):
    class Killed(BaseException):
        """Stands for a signal: nothing of ours catches it."""

    monkeypatch.setattr("mubert_jax.data.prepare_flow._TOGETHER", 5)
    seen = []

    def see(onset, apex):
        seen.append(onset)
        if len(seen) == 8:
            raise Killed
        return find_flow(onset, apex)

    options, output = FlowOptions(export="png", workers=1), tmp_path / "out"
    with pytest.raises(Killed):
        prepare_flow(_pairs, output, FlowMethod("made", see), options, quiet)
    for read in (FlowSet, lambda folder: LabelledPairs(folder, 40)):
        with pytest.raises(UserError, match="not a finished flow set|only half prepared"):
            read(output)
    (output / ".progress" / "00001.npz").write_bytes(b"half")
    before = len(seen)
    assert len(prepare_flow(_pairs, output, METHOD, options, quiet).kept) == 12
    assert len(seen) == before and not (output / ".progress").exists()
    for path in sorted(made.rglob("*")):
        same = output / path.relative_to(made)
        if path.is_file() and path.name != "prepare.json":
            assert same.read_bytes() == path.read_bytes(), path
    files = {path.relative_to(made) for path in made.rglob("*")}
    assert files == {path.relative_to(output) for path in output.rglob("*")}


@pytest.mark.parametrize("moment", ["export_published", "save_report", "write_flow_set"])
def test_killed_while_finishing(pairs, made, tmp_path, quiet, monkeypatch, moment):
    def kill(*args, **kwargs):
        raise KeyboardInterrupt

    options = FlowOptions(export="png")
    with monkeypatch.context() as patch:
        patch.setattr(f"mubert_jax.data.prepare_flow.{moment}", kill)
        with pytest.raises(KeyboardInterrupt):
            prepare_flow(pairs, tmp_path / "out", METHOD, options, quiet)
    assert not (tmp_path / "out" / "flow_set.json").exists()
    broken = FlowMethod("made", lambda *_: pytest.fail("it is computed already"))
    prepare_flow(pairs, tmp_path / "out", broken, options, quiet)
    np.testing.assert_array_equal(FlowSet(tmp_path / "out").flow, FlowSet(made).flow)


def test_refusals(pairs, _pairs, made, tmp_path, quiet, frames_set):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    write_flow(tmp_path / "theirs" / "sub01" / "u_test" / "0" / "a.png", RIGHT, DOWN)
    for input, output, options, said in (
        (tmp_path / "absent", tmp_path / "o", {}, "absent: no such data-set folder"),
        (frames_set, tmp_path / "o", {}, "a data set of frames, not of pairs"),
        (tmp_path / "theirs", tmp_path / "o", {}, "looks like published flow.*--layout=published"),
        (made, tmp_path / "o", {}, "holds flow .u, v and optical strain., no frames"),
        (pairs, tmp_path / "full", {}, "not empty and not made by this version"),
        (_pairs, made, {"size": 14}, "--size is 28 there and 14 now; --export is png there"),
        (pairs, tmp_path / "o", {"size": 2}, "--size 2: choose 4 to 1024"),
        (pairs, tmp_path / "o", {"export": "mat"}, "--export 'mat': choose png, npz, none"),
        (pairs, tmp_path / "o", {"with_train": True}, "--with-train is for --export=png"),
        (
            pairs,
            tmp_path / "o",
            {"export": "png", "normalise": "pixels"},
            "--export=png holds levels of 0 to 255, not pixels",
        ),
    ):
        with pytest.raises(UserError, match=said) as error:
            prepare_flow(input, output, METHOD, FlowOptions(**options), quiet)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "o").exists()
    with pytest.raises(
        UserError, match="--version is  there and 2 now|--version is .* there and 2"
    ):
        prepare_flow(_pairs, made, FlowMethod("made", find_flow, "2"), console=quiet)


def _rewritten(made, change):
    info = json.loads((made / "flow_set.json").read_text())
    change(info)
    (made / "flow_set.json").write_text(json.dumps(info))


def _with_nan(made):
    clips = FlowSet(made)
    clips.flow[3, 2, 2, 1] = np.nan
    write_flow_set(made, clips.flow, clips, clips.info)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda d: (d / FLOW_FILE).write_bytes((d / FLOW_FILE).read_bytes()[:-9]), "its SHA-256"),
        (lambda d: (d / FLOW_FILE).unlink(), "flow.npy is damaged or missing"),
        (_with_nan, "flow.npy: the maps of casme2/sub02/c0 are not finite"),
        (lambda d: (d / "clips.csv").unlink(), "clips.csv cannot be read"),
        (lambda d: (d / "clips.csv").write_text("dataset,subject\n1,2\n"), "clips.csv is damaged"),
        (
            lambda d: (d / "clips.csv").write_text(
                "".join((d / "clips.csv").read_text().splitlines(True)[:-1])
            ),
            r"float32 \(12, 28, 28, 3\) for 11 rows of clips.csv",
        ),
        (lambda d: (d / "clips.csv").write_bytes(b"\xff\xfe\x00"), "clips.csv cannot be read"),
        (lambda d: (d / "label.labels.txt").write_text("one\n"), "has label . but there are 1 cl"),
        (lambda d: (d / "label.labels.txt").unlink(), "label.labels.txt, the names of the classes"),
        (lambda d: (d / "flow_set.json").write_text("{"), "flow_set.json is damaged"),
        (lambda d: (d / "flow_set.json").write_text("[1]"), "flow_set.json is damaged"),
        (lambda d: _rewritten(d, lambda x: x.update(format=9)), "of another version"),
        (lambda d: _rewritten(d, lambda x: x.pop("sha256")), "of another version"),
    ],
)
def test_a_damaged_flow_set_is_one_line(made, damage, said):
    damage(made)
    with pytest.raises(UserError, match=said.replace("label .", "label .,")) as error:
        FlowSet(made)
    assert str(made) in str(error.value) and "\n" not in str(error.value)


PUBLISHED = {
    "sub{:02d}": (24, (88, 32, 25)),
    "s{:02d}": (16, (70, 51, 43)),
    "{:03d}": (28, (92, 26, 15)),
}


@pytest.mark.slow
def test_the_whole_composite_is_what_is_published(tmp_path, quiet):
    image = write_flow(tmp_path / "one.png", RIGHT, DOWN).read_bytes()
    root = tmp_path / "three_norm_u_v_os"
    for name, (people, counts) in PUBLISHED.items():
        for number, label in enumerate(np.repeat((0, 1, 2), counts)):
            who = name.format(number % people + 1)
            path = root / who / "u_test" / str(label) / f"{who}_{number} .png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
    report = prepare_flow(root, tmp_path / "out", None, console=quiet)
    assert report.lines()[1:] == [
        "442 clips found, 442 kept, 0 dropped; 68 subjects",
        "negative 250  positive 109  surprise 83",
        "casme2 145  samm 133  smic 164",
    ]
    found = FlowSet(tmp_path / "out")
    assert found.flow.shape == (442, 28, 28, 3) and len(set(found.people)) == 68
    np.testing.assert_array_equal(found.flow[7], channels(RIGHT, DOWN))
    assert (found.info.method, found.info.normalise) == ("published", "per-channel")

    shutil.rmtree(root / "s03")
    report = prepare_flow(root, tmp_path / "less", None, console=quiet)
    assert "431 kept (published: 442), 0 dropped; 67 subjects (published: 68)" in report.lines()[1]
    assert "note: 153 clips of smic (164 are published)" in FlowSet(tmp_path / "less").notes
    page = (tmp_path / "less" / "report.md").read_text()
    assert "| smic | 65 (published: 70)" in page and "| samm | 92 | 26 | 15 | 133 | 28 |" in page


def test_published_files_of_another_size_are_listed(tmp_path, quiet):
    root = tmp_path / "three_norm_u_v_os" / "s01" / "u_test" / "0"
    write_flow(root / "s01_a .png", RIGHT, bump(5, 5))
    cv2.imwrite(str(root / "s01_b .png"), np.zeros((32, 32, 3), np.uint8))
    report = prepare_flow(tmp_path, tmp_path / "out", None, console=quiet)
    assert len(report.kept) == 1 and report.dropped_clips == ["smic/s01/b"]
    assert any("32x32 pixels, not 28x28" in line for line in report.lines())
    assert report.lines()[1:3] == [
        "2 clips found, 1 kept (published: 442), 1 dropped; 1 subject (published: 68)",
        "negative 1 (published: 250)  positive 0 (published: 109)  surprise 0 (published: 83)",
    ]
    found, page = FlowSet(tmp_path / "out"), (tmp_path / "out" / "report.md").read_text()
    assert (found.subject, found.clip, found.info.method) == (["smic/s01"], ["a"], "published")
    np.testing.assert_array_equal(found.flow[0], channels(RIGHT, bump(5, 5)))
    assert "note: 0 clips of samm (133 are published)" in found.notes
    assert "| smic | 1 (published: 70) | 0 (published: 51) | 0 (published: 43) |" in page
    (root / "s01_a .png").unlink()
    with pytest.raises(UserError, match="none of 1 clips could be used.*32x32 pixels"):
        prepare_flow(tmp_path, tmp_path / "none", None, console=quiet)
    with pytest.raises(UserError, match="no such folder; it should be or hold three_norm"):
        prepare_flow(tmp_path / "absent", tmp_path / "none", None, console=quiet)

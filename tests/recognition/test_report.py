"""`mubert evaluate`: a report's numbers and stamps, the challenge's log, the same files twice."""

import csv
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.recognition.metrics import hardest, subsets
from mubert_jax.recognition.predictions import Facts, Predictions
from mubert_jax.recognition.published import PUBLISHED
from mubert_jax.recognition.report import RESULTS, write_report

CLASSES = ("negative", "positive", "surprise")
STAMP = "LEAK: pretraining saw test subjects casme2/sub01 & sub02"
# dataset, subject, clip, truth, then the prediction of seeds 0 and 1.
ROWS = [
    ("casme2", "sub01", "EP02_01f", 1, 1, 1),
    ("casme2", "sub01", "sub01/EP03_02", 0, 0, 0),
    ("casme2", "sub02", "EP02_01f", 0, 0, 1),
    ("casme2", "sub02", "EP09 05", 1, 0, 0),
    ("samm", "samm/006", "006_1_2", 2, 2, 2),
    ("samm", "samm/006", "006_1_3", 0, 2, 0),
    ("samm", "samm/007", "007_1_1", 2, 2, 0),
]
# Of both seeds: correct clips of each class, and clips taken for it.
UF1 = [np.mean([2 * 2 / 6, 2 * 1 / 3, 2 * 2 / 5]), np.mean([2 * 2 / 7, 2 * 1 / 4, 2 * 1 / 3])]


@pytest.fixture
def workdir(tmp_path):
    """A run of two seeds with everything a run may leave."""
    folder = tmp_path / "run"
    (folder / "maps").mkdir(parents=True)
    rows = []
    for seed in (0, 1):
        for dataset, subject, clip, truth, *named in ROWS:
            sure = 0.8 if clip == "EP09 05" else 0.6
            probabilities = np.full(3, (1 - sure) / 2)
            probabilities[named[seed]] = sure
            keys = [dataset, subject, clip, seed, f"{dataset}/{subject}"]
            rows.append([*keys, CLASSES[truth], CLASSES[named[seed]], *probabilities])
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
    columns += [f"probability_{name}" for name in CLASSES]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "predictions.csv", index=False)
    Facts(CLASSES, "composite", "composite-3", (STAMP,), ("fold x: <odd>",)).save(folder)
    curves = [(s, f, e, 1 / e, 1 - 1 / e) for s in (0, 1) for f in "ab" for e in (1, 2, 3)]
    names = ["seed", "fold", "epoch", "loss", "accuracy"]
    pd.DataFrame(curves, columns=names).to_csv(folder / "curves.csv", index=False)
    image = np.full((8, 8, 3), 90, np.uint8)
    for name in ("casme2_sub02_EP09 05", "006_1_3", "EP02_01f"):
        cv2.imwrite(str(folder / "maps" / f"{name}.png"), image)
    return folder


def evaluate(folder):
    assert main(["evaluate", f"--workdir={folder}"]) == 0


def spread(values):
    values = 100 * np.array(values)
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def test_the_numbers(workdir, capsys):
    evaluate(workdir)
    said = capsys.readouterr().out
    accuracy = [5 / 7, 4 / 7]
    shown = (spread(UF1), spread(accuracy))
    assert all(text in said for text in (*shown, STAMP, "composite, 3 classes"))
    for name in ("results.md", "results.html"):
        text = (workdir / name).read_text()
        assert all(number in text for number in shown), name
        assert "89.03" in text and "86.03" in text and "LBP-TOP" in text
    rows = list(csv.DictReader((workdir / "results.csv").open()))
    full = {row["seed"]: row for row in rows if row["subset"] == "Full"}
    assert list(full) == ["0", "1", "mean", "std", "low", "high"]
    found = [float(full[key]["UF1"]) for key in ("0", "1", "mean", "std")]
    np.testing.assert_allclose(found, [*UF1, np.mean(UF1), np.std(UF1, ddof=1)], atol=1e-6)
    precision = [np.mean([2 / 3, 1, 2 / 3]), np.mean([2 / 4, 1 / 2, 1])]
    found = [float(full[key]["mean_precision"]) for key in ("0", "1", "mean")]
    np.testing.assert_allclose(found, [*precision, np.mean(precision)], atol=1e-6)
    assert float(full["0"]["precision_positive"]) == 1.0
    text = (workdir / "results.md").read_text()
    assert spread(precision) in text and "this UAR is its mean precision" in text
    casme2 = next(row for row in rows if row["subset"] == "casme2")
    assert casme2["left_out"] == "surprise" and casme2["F1_surprise"] == ""
    np.testing.assert_allclose(float(casme2["UAR"]), (1 + 0.5) / 2)
    assert "casme2 has no clip of surprise: left out of its means" in said


def test_per_set_scores_are_subsets_of_the_same_run(workdir):
    full, *parts = subsets(Predictions.load(workdir / "predictions.csv", CLASSES))
    assert [part.name for part in parts] == ["casme2", "samm"]
    for seed in (0, 1):
        whole = sum(part.scores[seed].confusion for part in parts)
        np.testing.assert_array_equal(whole, full.scores[seed].confusion)


def test_the_log_of_the_challenge(workdir):
    evaluate(workdir)
    assert (workdir / "megc2019_seed0.txt").read_text() == (
        "casme2 sub01\nEP02_01f 1 1\nEP03_02 0 0\n"
        "casme2 sub02\nEP02_01f 0 0\nEP09_05 1 0\n"
        "samm 006\n006_1_2 2 2\n006_1_3 0 2\n"
        "samm 007\n007_1_1 2 2\n"
    )
    assert "006_1_3 0 0\n" in (workdir / "megc2019_seed1.txt").read_text()


def test_the_log_of_the_challenge_is_read_again(workdir, tmp_path, capsys):
    evaluate(workdir)
    logs = [workdir / f"megc2019_seed{seed}.txt" for seed in (1, 0)]
    report = tmp_path / "report"
    assert main(["evaluate", "--megc-log", *map(str, logs), f"--output={report}"]) == 0
    said = capsys.readouterr().out
    assert spread(UF1) in said and "negative, positive, surprise, in this order" in said
    for log in logs:
        assert (report / log.name).read_text() == log.read_text()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no clip in it"),
        ("casme2 sub01\nEP02_01f 1\n", "no clip in it"),
        ("EP02_01f 1 1\n", "line 1: 'EP02_01f 1 1' is neither"),
        ("casme2 sub01\nEP02_01f 1 1 0\n", "line 2: .* is neither"),
        ("casme2 sub01\nEP02_01f 1 3\n", "line 2: '3' is no class; it takes 0 to 2"),
        ("casme2 sub01\nEP02_01f 1 -1\n", "line 2: '-1' is no class"),
        ("s a\nx 1 1\ns a\nx 1 1\n", "line 4, column clip: s/a/x is in line 2 too"),
    ],
)
def test_what_is_no_log(text, message, tmp_path, capsys):
    (tmp_path / "log.txt").write_text(text)
    assert main(["evaluate", f"--megc-log={tmp_path / 'log.txt'}", f"--output={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error)
    assert not (tmp_path / "results.md").exists()


def test_the_stamp_is_on_every_table(workdir):
    evaluate(workdir)
    text = (workdir / "results.md").read_text()
    parts = text.split("\n## ")[1:]
    assert len(parts) == 9 and all(f"> **⚠ {STAMP}**" in part for part in parts)
    page = (workdir / "results.html").read_text()
    escaped = STAMP.replace("&", "&amp;")
    sections = page.split("<section>")[1:]
    assert len(sections) == 9 and all(escaped in section for section in sections)
    assert all(STAMP in row["stamps"] for row in csv.DictReader((workdir / "results.csv").open()))


def test_without_a_stamp_there_is_none(workdir):
    Facts(CLASSES).save(workdir)
    evaluate(workdir)
    for name in RESULTS:
        text = (workdir / name).read_text()
        assert "LEAK" not in text and "⚠" not in text
    assert "LBP-TOP" not in text


def test_folds_that_share_a_subject_are_stamped(workdir):
    predictions = Predictions.load(workdir / "predictions.csv", CLASSES)
    table = predictions.table.assign(fold=[f"fold{i % 2}" for i in range(len(predictions.table))])
    write_report(Predictions(table, CLASSES), workdir)
    text = (workdir / "results.md").read_text()
    assert "> **⚠ LEAK: 3 subjects are tested in more than one fold" in text


class Page(HTMLParser):
    """Every tag closed in its turn; addresses collected."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(workdir):
    evaluate(workdir)
    text = (workdir / "results.html").read_text()
    page = Page(text)
    assert not page.open and page.tags.count("table") == 6
    # Three confusions and two curves.
    assert page.tags.count("svg") == 5 and page.tags.count("polyline") == 4
    assert len(page.addresses) == 2, "of the hardest clips that have a picture"
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text and "&lt;odd&gt;" in text


def test_the_hardest_clips_and_their_maps(workdir):
    clips = hardest(Predictions.load(workdir / "predictions.csv", CLASSES))
    assert [(clip.clip, clip.wrong) for clip in clips] == [
        ("EP09 05", 2),
        ("EP02_01f", 1),
        ("006_1_3", 1),
        ("007_1_1", 1),
    ]
    np.testing.assert_allclose([clip.confidence for clip in clips], [0.8, 0.3, 0.3, 0.3])
    assert clips[0].truth == "positive" and clips[0].taken_for == "negative"
    evaluate(workdir)
    # EP02_01f.png could be of either of two clips of this name.
    shown = re.findall(r'<img alt="maps of ([^"]*)"', (workdir / "results.html").read_text())
    assert shown == ["EP09 05", "006_1_3"]


def test_nothing_wrong_one_class_and_a_loss_that_is_not_finite(workdir):
    text = "subject,clip,truth,prediction\n1,a,<odd|name>,<odd|name>\n2,b,<odd|name>,<odd|name>\n"
    (workdir / "predictions.csv").write_text(text)
    Facts().save(workdir)
    (workdir / "curves.csv").write_text("seed,fold,epoch,loss\n0,a,1,inf\n0,a,2,3\n0,b,1,\n")
    evaluate(workdir)
    table = (workdir / "results.md").read_text()
    assert "| <odd\\|name> | 2 | 2 | 100.00 | 100.00 |" in table and "Hardest" not in table
    page = (workdir / "results.html").read_text()
    assert not Page(page).open and "<odd" not in page and "&lt;odd|name&gt;" in page
    assert "nan" not in page and "inf," not in page


def test_the_same_predictions_give_the_same_files(workdir):
    evaluate(workdir)
    names = [*RESULTS, "megc2019_seed0.txt", "megc2019_seed1.txt"]
    first = {name: (workdir / name).read_bytes() for name in names}
    before = (workdir / "predictions.csv").read_bytes()
    for name in names:
        (workdir / name).unlink()
    (workdir / "megc2019_seed7.txt").write_text("of a seed that is gone")
    evaluate(workdir)
    assert {name: (workdir / name).read_bytes() for name in names} == first
    assert (workdir / "predictions.csv").read_bytes() == before
    assert not (workdir / "megc2019_seed7.txt").exists()


def test_another_methods_file(tmp_path, capsys):
    theirs, output = tmp_path / "theirs.csv", tmp_path / "report"
    theirs.write_text("subject,clip,truth,prediction\n1,a,neg,neg\n1,b,pos,neg\n2,c,pos,pos\n")
    arguments = ["evaluate", f"--predictions={theirs}", f"--output={output}"]
    assert main([*arguments, "--published=casme2-5"]) == 0
    said = capsys.readouterr().out
    assert "UF1 66.67, UAR 75.00, accuracy 66.67 (%)" in said and "One seed (0)" in said
    assert "published numbers are for 5 classes, this run has 2" in said
    assert "TSCNN" in (output / "results.md").read_text()
    assert (output / "megc2019_seed0.txt").read_text().startswith("unnamed 1\na 0 0\nb 1 0\n")
    assert main([*arguments, "--classes", "pos", "neg", "other"]) == 0
    said = capsys.readouterr().out
    assert "UF1 66.67" in said and "no clip of other" in said
    assert (output / "megc2019_seed0.txt").read_text().startswith("unnamed 1\na 1 1\nb 0 1\n")


def test_refuses(workdir, tmp_path, capsys):
    theirs = f"--predictions={workdir / 'predictions.csv'}"
    run, output = f"--workdir={workdir}", f"--output={tmp_path / 'out'}"
    for arguments, message in (
        ([], "either --workdir=DIR or --predictions=FILE"),
        ([run, theirs], "either --workdir=DIR or --predictions=FILE"),
        ([theirs], "needs --output=DIR"),
        ([run, output], "--output goes with --predictions"),
        ([f"--workdir={tmp_path}"], "no predictions.csv; give the folder of a finished"),
        ([theirs, output, "--published=composite"], "did you mean 'composite-3'"),
        ([theirs, output, "--classes", "negative"], "unknown class"),
        ([theirs, f"--output={workdir / 'predictions.csv'}"], "is a file; name a folder"),
    ):
        assert main(["evaluate", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("recognition.json", "{", "not JSON"),
        ("recognition.json", "[]", "no JSON object"),
        ("recognition.json", '{"stamp": []}', "did you mean 'stamps'"),
        ("recognition.json", '{"stamps": "LEAK"}', "stamps is 'LEAK'; it takes a list"),
        ("recognition.json", '{"protocol": null}', "protocol is None; it takes a string"),
        ("recognition.json", '{"published": "casme"}', "unknown published 'casme'"),
        ("curves.csv", "", "not a CSV file"),
        ("curves.csv", "seed,fold,epoch\n0,a,1\n", "no column 'loss'"),
        ("curves.csv", "seed,fold,epoch,loss\n0,a,1,1\n0,a,2,x\n", "row 3, column loss: 'x'"),
    ],
)
def test_refuses_what_a_run_did_not_leave(workdir, capsys, name, text, message):
    (workdir / name).write_text(text)
    assert main(["evaluate", f"--workdir={workdir}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and name in error


def test_facts_are_kept(tmp_path):
    facts = Facts(("a", "b"), "loso", None, ("LEAK",), ())
    facts.save(tmp_path)
    assert Facts.load(tmp_path) == facts
    assert set(json.loads((tmp_path / "recognition.json").read_text())) == {
        *("classes", "protocol", "published", "stamps", "warnings"),
        *("method", "reference", "published_as"),
    }
    assert Facts.load(tmp_path / "absent") == Facts()


def test_published_numbers():
    best = {
        "casme3-3": (56.04, 61.25),
        "casme3-4": (47.18, 49.13),
        "casme3-7": (32.64, 32.54),
        "casme2-5": (85.53, 83.48),
        "casme2-3": (90.34, 89.14),
        "samm-5": (83.86, 84.75),
        "smic-3": (85.50, 83.84),
        "composite-3": (89.03, 88.42),
    }
    assert set(PUBLISHED) == set(best)
    for key, benchmark in PUBLISHED.items():
        own = benchmark.rows[-1]
        assert (own.uf1, own.uar) == best[key] and "the paper" in own.method
        assert key.endswith(str(benchmark.classes)) and f"{benchmark.classes} cl" in benchmark.title
        names = [row.method for row in benchmark.rows]
        assert len(set(names)) == len(names) > 2
        assert all(row.note and 10 < row.uf1 < 100 and 10 < row.uar < 100 for row in benchmark.rows)
    with pytest.raises(UserError, match="did you mean 'smic-3'"):
        write_report(None, None, Facts(published="smic-5"))

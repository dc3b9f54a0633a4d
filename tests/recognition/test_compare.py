"""`mubert compare`: every network by one protocol, and the page of finished runs."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config, write_config_file
from test_report import Page
from test_stored_flow import NEAREST, flow_set

from mubert_jax.cli import main
from mubert_jax.errors import DiskFull, UserError
from mubert_jax.recognition import networks
from mubert_jax.recognition.comparison_report import FILES, write_comparison
from mubert_jax.recognition.comparison_runs import run_all
from mubert_jax.recognition.methods import doubts, load_methods
from mubert_jax.recognition.metrics import over_subjects, summarise
from mubert_jax.recognition.predictions import Facts, Predictions

CLASSES = ("negative", "positive", "surprise")
COLUMNS = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
ENTRY = "@article{{{}2024,\n  title = {{{}}},\n}}\n"
PEOPLE, SEEDS = 12, 2


def refused(capsys, *words):
    assert main(["compare", *map(str, words)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def make(folder, skill, people=PEOPLE, seeds=SEEDS, folds=PEOPLE, **facts):
    """The folder of a finished run that is right as often as asked."""
    random = np.random.default_rng(len(folder.name))
    rows = []
    for seed in range(seeds):
        for person in range(people):
            for clip in range(6):
                truth, drawn = CLASSES[clip % 3], random.uniform(size=2)
                named = CLASSES[int(3 * drawn[1])] if drawn[0] > skill else truth
                named = CLASSES[(clip + 1) % 3] if (person, clip) == (0, 4) else named
                where = ("casme2", "samm")[person % 2], f"p{person}", f"c_{clip}"
                rows.append((*where, seed, str(person % folds), truth, named))
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "predictions.csv", index=False)
    Facts(CLASSES, "loso", **facts).save(folder)
    return folder


def make_three(folder):
    """Three runs: one with everything that a run may leave, one of no network of ours."""
    good = make(
        *(folder / "good", 0.9),
        method="μ-BERT, good",
        reference=ENTRY.format("good", "Good & {GOOD}"),
        published_as=("μ-BERT (the paper)",),
        stamps=("LEAK: it saw 3 of 12_people",),
    )
    (good / "cost.json").write_text(json.dumps({"seconds": 100.0, "cpu_seconds": 150.0}))
    entry = ENTRY.format("poor", "Poor")
    poor = make(folder / "poor", 0.3, method="50 % & a_b", reference=entry)
    honest = summarise(Predictions.load(poor / "predictions.csv", CLASSES))
    picked = {"uf1": (0.7, 0.8), "uar": (0.9, 0.9)}
    rows = [
        (seed, name, honest.values(name)[seed], values[seed])
        for name, values in picked.items()
        for seed in range(SEEDS)
    ]
    table = pd.DataFrame(rows, columns=["seed", "score", "honest", "picked"])
    table.to_csv(poor / "optimism.csv", index=False)
    return [poor, good, make(folder / "theirs", 0.6)]


@pytest.fixture
def runs(tmp_path):
    return make_three(tmp_path / "runs")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a report on three runs."""
    folder = tmp_path_factory.mktemp("compared")
    write_comparison(make_three(folder / "runs"), folder)
    return folder


def test_the_table_ranks_by_uf1_and_has_every_row(compared):
    lines = (compared / "compare.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| method | UF1"))
    rows = [line.strip("| ").split(" | ") for line in lines[start + 2 : start + 7]]
    names = ["**μ-BERT, good ⚠**", "theirs", "50 % & a_b", "always “negative”"]
    assert [row[0] for row in rows] == [*names, "each class alike (chance)"]
    predictions = Predictions.load(compared / "runs" / "theirs" / "predictions.csv")
    uf1, (low, high) = summarise(predictions).values("uf1"), over_subjects(predictions)["uf1"]
    spread = f"{100 * uf1.mean():.1f} ± {100 * uf1.std(ddof=1):.1f}"
    assert rows[1][1] == f"{spread} [{100 * low:.1f}, {100 * high:.1f}]"
    assert [row[4] for row in rows] == ["**--**", "--", "75.0", "--", "--"]
    assert rows[0][6] == "**2.5 min**" and rows[1][6] == "--"
    assert rows[3][1:4] == ["16.7", "33.3", "11.1"] and rows[4][1] == "33.3"


def test_the_csv_holds_every_subset_and_the_picked_apart(compared):
    rows = list(csv.DictReader((compared / "compare.csv").open()))
    assert [(row["run"], row["subset"]) for row in rows[:3]] == [
        *(("good", "Full"), ("good", "casme2"), ("good", "samm"))
    ]
    poor = next(row for row in rows if row["run"] == "poor")
    assert (poor["picked_uf1"], poor["picked_uar"]) == ("0.750000", "0.900000")
    assert float(poor["uf1_low"]) < float(poor["uf1"]) < float(poor["uf1_high"]) < 0.7
    assert {row["picked_uf1"] for row in rows if row["run"] != "poor"} == {""}
    assert rows[0]["cpu_seconds"] == "150.000000" and "LEAK" in rows[0]["stamps"]


def test_the_page_stands_alone(compared):
    text = (compared / "compare.html").read_text()
    page = Page(text)
    assert not page.open and not page.addresses
    assert not re.search(r"https?://|@import|url\(", text)
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == [
        *("Methods", "Data sets", "Differences of UF1", "Every pair, and what it could have shown"),
        *("Hardest clips", "Published figures", "Confusion"),
    ]
    # A range per method with a ring where an epoch was picked, and a matrix per method.
    assert page.tags.count("svg") == 6 and text.count('class="ring"') == 1
    assert text.count("LEAK: it saw 3 of 12_people") == 8, "on the page and on every table"
    assert re.search(r"\d ± \d+\.\d <small>\[\d+\.\d, \d+\.\d\]</small>", text)
    assert "50 % &amp; a_b" in text and "Table 5" in text and "prefers-color-scheme: dark" in text
    assert "nan" not in text


def test_a_method_is_right_under_more_than_half_of_its_seeds(tmp_path):
    rows = [
        ("set", who, clip, seed, who, "positive", "positive" if right > seed else "negative")
        for who in ("p1", "p2")
        for clip, right in (("never", 0), ("once", 1), ("twice", 2))
        for seed in (0, 1)
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "predictions.csv", index=False)
    Facts(CLASSES, "loso").save(tmp_path)
    (method,) = load_methods([tmp_path])
    assert method.wrong.tolist() == [1, 0.5, 0] * 2
    assert method.right.tolist() == [False, False, True] * 2


def test_the_hardest_clip_is_the_one_that_nobody_names(compared):
    text = (compared / "compare.md").read_text().split("## Hardest clips")[1]
    first = text.split("---: |\n")[1].splitlines()[0]
    assert first == "| casme2/p0 | c_4 | positive | surprise | nobody | 3 of 3 |"


def test_latex_is_balanced_and_escaped(compared):
    text = (compared / "compare.tex").read_text()
    assert r"50 \% \& a\_b~\cite{poor2024}" in text and r"$\mu$-BERT, good $\dagger$~\cite" in text
    assert text.count("\\begin{") == text.count("\\end{") == 4
    for command in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{command}") == 2
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
    for table in text.split("\\begin{tabular}")[1:]:
        lines = [line for line in table.splitlines() if line.endswith(r"\\")]
        columns = len(table.split("}")[0].strip("{"))
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {columns - 1}
        assert not re.search(r"(?<!\\)[%_#]|[^\x00-\x7f]", "".join(lines).replace("\\_", ""))
    bib = (compared / "methods.bib").read_text()
    assert bib.count("@article{") == 2 and "{GOOD}" in bib


def test_the_command_writes_the_same_files_and_says_what_they_show(compared, tmp_path, capsys):
    folders = [str(compared / "runs" / name) for name in ("theirs", "poor", "good")]
    assert main(["compare", "--runs", *folders, f"--output={tmp_path}"]) == 0
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (compared / name).read_bytes(), name
    said = capsys.readouterr().out
    assert "μ-BERT, good: UF1 " in said and "of 3 pairs of methods differ in UF1" in said
    assert "With 12 people, a true difference of " in said and "⚠ μ-BERT, good: LEAK" in said


@pytest.mark.filterwarnings("error")
def test_one_run_or_one_person_has_nothing_to_compare(tmp_path):
    write_comparison([make(tmp_path / "alone", 0.9)], tmp_path / "one")
    text = (tmp_path / "one" / "compare.md").read_text()
    assert "Differences" not in text and "alone" in text
    folders = [make(tmp_path / name, 0.9, people=1) for name in ("a", "bb")]
    found = write_comparison(folders, tmp_path / "few")
    text = (tmp_path / "few" / "compare.md").read_text()
    assert "nan" not in text and "inf" not in text and found.lines() == [found.seeds]


def test_what_keeps_runs_from_being_comparable_is_said(tmp_path):
    folders = [
        *(make(tmp_path / "a", 0.9), make(tmp_path / "bb", 0.9, folds=4)),
        make(tmp_path / "ccc", 0.9, seeds=1),
    ]
    said = list(doubts(load_methods(folders)))
    assert len(said) == 2 and "was tested in other folds" in said[0] and "bb" in said[0]
    assert said[1].startswith("the seeds differ: ")
    other = make(tmp_path / "dddd", 0.8)
    Facts(CLASSES, "5-fold").save(other)
    said = list(doubts(load_methods([folders[0], other])))
    assert said == ["dddd was tested by the protocol 5-fold, a by loso"]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("optimism.csv", "seed,score\n0,uf1\n", "no table of seed, score, honest, picked"),
        ("optimism.csv", "seed,score,honest,picked\n0,uf1,1,x\n", "no table of seed, score"),
        ("cost.json", "{}", "damaged"),
        ("cost.json", '{"seconds": "x", "cpu_seconds": 1}', "damaged"),
    ],
)
def test_refuses_what_a_run_did_not_leave(runs, tmp_path, capsys, name, text, message):
    (runs[0] / name).write_text(text)
    error = refused(capsys, "--runs", *runs, f"--output={tmp_path / 'out'}")
    assert message in error and name in error and not (tmp_path / "out").exists()


def test_what_cannot_be_compared(runs, tmp_path, capsys):
    out = f"--output={tmp_path / 'out'}"
    data = ["--data", tmp_path, out]
    assert "give either --data=DIR" in refused(capsys, out)
    assert "give either --data=DIR" in refused(capsys, *data, "--runs", runs[0])
    assert "no predictions.csv" in refused(capsys, "--runs", runs[0], tmp_path, out)
    fewer = make(tmp_path / "fewer", 0.9, people=PEOPLE - 1)
    assert "not those of" in refused(capsys, "--runs", runs[0], fewer, out)
    twin = make(tmp_path / "others" / "good", 0.9)
    assert "good is the name of 2 folders" in refused(capsys, "--runs", *runs, twin, out)
    assert "--networks goes with --data" in refused(
        capsys, "--runs", *runs, out, "--networks", "ridge"
    )
    override = "--config.recognition.epochs=3"
    assert f"{override} goes with --data" in refused(capsys, "--runs", *runs, out, override)
    assert "unknown published 'x'" in refused(capsys, "--runs", *runs, out, "--published=x")
    assert "give --networks NAME" in refused(capsys, *data)
    assert "did you mean 'ststnet'" in refused(capsys, *data, "--networks", "ridge", "stsnet")
    assert "ridge is given twice" in refused(capsys, *data, "--networks", "ridge", "ridge")
    assert "ridge is given twice" in refused(
        capsys, *data, "--networks", "ridge", "--config", "configs/recognition/ridge.py"
    )
    assert "--networks says that" in refused(
        capsys, *data, "--networks", "ridge", "--config.recognition.network=rcn"
    )
    assert "did you mean 'recognition" in refused(
        capsys, *data, "--networks", "ridge", "--config.recognition.epoch=3"
    )
    assert "config.recognition.target of ridge is action_units" in refused(
        capsys, *data, "--networks", "ridge", "--config.recognition.target=action_units"
    )
    other = tiny_config(recognition__protocol="5-fold", recognition__network="ridge")
    write_config_file(tmp_path / "mine.py", other)
    assert "mine has the protocol 5-fold, ridge loso" in refused(
        capsys, *data, "--networks", "ridge", "--config", tmp_path / "mine.py"
    )
    assert "no network could be measured" in refused(capsys, *data, "--networks", "ridge")
    assert not (tmp_path / "out" / "compare.html").exists()


@pytest.fixture
def by_data(drop, tmp_path):
    """(flags) -> the exit code of a comparison on a flow set, one of whose rows needs frames."""
    drop(networks, "nearest", NEAREST)
    data = flow_set(tmp_path / "flow")
    words = ["--networks", "linear_probe", "nearest", "ridge", "--config.recognition.seeds=(0,)"]
    start = ["compare", f"--data={data}", *words, f"--output={tmp_path / 'out'}"]
    start.append("--config.recognition.weight_decay=(0.01,)")
    return lambda *flags: main([*start, *flags])


def test_a_network_that_fails_leaves_the_others_and_a_restart_keeps_them(by_data, tmp_path, capsys):
    assert by_data() == 1
    said = capsys.readouterr().out
    assert "linear_probe: " in said and "holds flow, no frames" in said
    text = (tmp_path / "out" / "compare.md").read_text()
    assert "nearest" in text and "ridge regression" in text
    assert "| μ-BERT, linear probe failed: " in text and "could not be measured: " in text
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "μ-BERT, linear probe" in page and "holds flow, no frames" in page
    assert "linear probe" not in (tmp_path / "out" / "compare.tex").read_text()
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert [row["run"] for row in rows] == ["nearest", "ridge", ""] and rows[2]["failed"]
    assert float(rows[1]["cpu_seconds"]) > 0
    assert "@article{hoerl1970ridge," in (tmp_path / "out" / "methods.bib").read_text()
    folds = sorted((tmp_path / "out" / "runs").glob("*/folds/*.npz"))
    assert len(folds) == 8, "of two networks, a fold per person"
    before = {path: path.stat().st_mtime_ns for path in folds}
    folds[0].unlink()
    assert by_data() == 1
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert changed == folds[:1]


def test_a_full_disk_is_no_fault_of_a_network(tmp_path, monkeypatch):
    from rich.console import Console

    from mubert_jax.recognition import comparison_runs

    rows = [comparison_runs.of_network(name, []) for name in ("ridge", "rcn")]
    tried = []

    def full(config, *_, **__):
        tried.append(config.recognition.network)
        raise DiskFull("no space left")

    monkeypatch.setattr(comparison_runs, "finetune", full)
    with pytest.raises(DiskFull):
        run_all(rows, tmp_path, False, Console(quiet=True))
    assert tried == ["ridge"]


def test_ctrl_c_stops_it_without_a_page(by_data, tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mubert_jax.recognition.comparison_runs.finetune", stop)
    assert by_data() == 75 and "mubert compare: stopped; " in capsys.readouterr().out
    assert not (tmp_path / "out" / "compare.html").exists()


def test_optimism_is_asked_of_networks_that_have_epochs():
    from mubert_jax.recognition.comparison_runs import of_network, with_optimism

    asked = {name: with_optimism(of_network(name, [])) for name in ("ridge", "ststnet")}
    found = {name: row.config.recognition.optimism for name, row in asked.items()}
    assert found == {"ridge": False, "ststnet": True}


def test_every_network_has_a_recipe_that_names_it():
    from mubert_jax import discovery
    from mubert_jax.recognition.comparison_runs import of_network

    for name in discovery.names(networks):
        assert of_network(name, []).config.recognition.network == name
    assert of_network("micron_bert", []).config.recognition.epochs == 40
    with pytest.raises(UserError, match="unknown network"):
        of_network("_light", [])

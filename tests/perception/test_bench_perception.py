"""`mubert bench perception`: the command, and what holds for any checkpoint."""

import contextlib
import io
import itertools
import json

import pytest

from mubert_jax.cli import main
from mubert_jax.motion_maps import chosen
from mubert_jax.perception.benchmark import baseline_rows

ROWS = baseline_rows(chosen())


@pytest.fixture(scope="module")
def printed(trained_run, tmp_path_factory):
    """The rows that are written, and what is said on a narrow terminal."""
    output = tmp_path_factory.mktemp("bench") / "rows.json"
    arguments = [f"--checkpoint={trained_run}", "--subjects=3", "--conditions", "clean"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["bench", "perception", *arguments, f"--output={output}"]) == 0
    return json.loads(output.read_text()), said.getvalue()


def test_every_method_is_written_as_recorded_registered_and_with_poi(printed):
    rows, _ = printed
    whole = {
        (row["method"], row["registration"], row["times"]): row
        for row in rows
        if row.get("difficulty") == "all"
    }
    for method in (*ROWS, "DMA"):
        for registration, times in itertools.product(("none", "robust"), ("", "POI", "true face")):
            row = whole[method, registration, times]
            assert row["auc low"] <= row["auc"] <= row["auc high"]
    assert whole["difference", "none", ""]["auc"] > 0.8
    (share,) = (row["POI on the face"] for row in rows if "POI on the face" in row)
    assert 0 < share < 1


def test_dma_is_compared_with_every_baseline_registered_alike(printed):
    rows, said = printed
    less = {row["less"]: row for row in rows if "less" in row}
    assert list(less) == ROWS
    whole = {
        row["method"]: row["auc_in_face"]
        for row in rows
        if row.get("difficulty") == "all" and (row["registration"], row["times"]) == ("robust", "")
    }
    for method, row in less.items():
        assert row["auc_in_face"] == pytest.approx(whole["DMA"] - whole[method])
        assert row["auc_in_face low"] <= row["auc_in_face"] <= row["auc_in_face high"]
    assert "paired over people" in said


def test_tables_fit_a_narrow_terminal(printed):
    rows, said = printed
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert "95 % interval" in said and "POI on the face" in said
    row = next(r for r in rows if r.get("method") == "Eulerian magnification" and r["times"] == "")
    interval = f"[{row['auc low']:.2f}, {row['auc high']:.2f}]"
    assert row["registration"] == "none" and interval in said


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--conditions", "fog"], "--conditions fog: choose from clean"),
        (["--subjects=2"], "needs 3 or more"),
        (["--methods", "difference", "eulerain"], "'eulerain'; did you mean 'eulerian'?"),
        (["--checkpoint=absent"], "no checkpoint"),
        (["--size=100", "--subjects=3"], "choose a multiple of 8"),
    ],
)
def test_refuses(flags, said, capsys):
    assert main(["bench", "perception", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1

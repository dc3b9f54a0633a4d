"""`mubert bench perception`: the command, and what holds for any checkpoint."""

import json

import pytest

from mubert_jax.cli import main
from mubert_jax.perception.rivals import RIVALS


def test_rivals_and_a_checkpoint_in_one_table(trained_run, tmp_path, capsys):
    output = tmp_path / "rows.json"
    arguments = [f"--checkpoint={trained_run}", "--subjects=3", "--conditions", "clean"]
    assert main(["bench", "perception", *arguments, f"--output={output}"]) == 0
    said = capsys.readouterr().out
    assert "POI on the face" in said and "95 % interval" in said
    rows = json.loads(output.read_text())
    whole = {row["method"]: row for row in rows if row.get("difficulty") == "all"}
    assert RIVALS.keys() < whole.keys()
    assert whole["difference"]["auc"] > 0.8
    named = (
        "DMA × POI, ecc",
        "difference × POI",
        "DMA × S·N",
        "1 - diag(Â)",
        "(1 - diag(Â)) × S·N",
    )
    for name in ("DMA", "DMA, robust", *named):
        row = whole[name]
        assert 0 <= row["auc low"] <= row["auc"] <= row["auc high"] <= 1
    (share,) = (row["POI on the face"] for row in rows if "POI on the face" in row)
    assert 0 < share < 1


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--conditions", "fog"], "--conditions fog: choose from clean"),
        (["--subjects=2"], "needs 3 or more"),
        (["--checkpoint=absent"], "no checkpoint"),
        (["--size=100", "--subjects=3"], "choose a multiple of 8"),
    ],
)
def test_refuses(flags, said, capsys):
    assert main(["bench", "perception", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1

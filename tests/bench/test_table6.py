"""Table 6: every row is pretrained once, read alike, and fails alone."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.bench import table6
from mubert_jax.bench.table6_rows import (
    MOCO_V3,
    ROWS,
    TOKENIZER,
    VIT_S,
    overrides_at_small_size,
)
from mubert_jax.cli import main
from mubert_jax.config import DataConfig, RecognitionConfig
from mubert_jax.config_files import load_config
from mubert_jax.errors import UserError
from mubert_jax.objectives import make_objective
from mubert_jax.recognition.predictions import Facts
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen

QUIET = Console(quiet=True)
TINY = [
    f"--config.{key}={value}"
    for key, value in {
        "model.image_size": 32,
        "model.dim": 16,
        "model.depth": 1,
        "model.heads": 2,
        "model.decoder.dim": 16,
        "model.decoder.depth": 1,
        "model.decoder.heads": 2,
    }.items()
]
BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture
def done(monkeypatch):
    """What would have been pretrained and fine-tuned; recognizers name every other clip right."""
    pretrained, tuned = [], []

    def pretrain(config, folder, console):
        if config.objective.name == "mae":
            raise UserError("no frames there")
        pretrained.append((folder, config))

    def finetune(config, folder, allow_contamination, console, keep):
        assert allow_contamination and not keep
        tuned.append((folder, config))
        folder.mkdir(parents=True)
        truth = ["low", "high"] * 6
        said = truth[:6] + ["low"] * 6
        columns = {"dataset": "d", "subject": [f"s{i // 3}" for i in range(12)]}
        columns |= {"clip": [f"c{i}" for i in range(12)], "seed": config.training.seed}
        columns |= {"fold": "f", "truth": truth, "prediction": said}
        pd.DataFrame(columns).to_csv(folder / "predictions.csv", index=False)
        Facts(classes=("low", "high"), stamps=("It saw everybody.",)).save(folder)

    monkeypatch.setattr(table6, "pretrain", pretrain)
    monkeypatch.setattr(table6, "finetune", finetune)
    return pretrained, tuned


def configs(*names, data="frames"):
    of = {
        name: tiny_config(objective__name=name, objective__options={"tokenizer": ""})
        if name == "beit"
        else tiny_config(objective__name="mae" if name == "mae" else "micron_bert")
        for name in names
    }
    of |= {TOKENIZER: tiny_config(objective__name="vq_tokenizer")}
    named = DataConfig(path=data)
    return {name: dataclasses.replace(config, data=named) for name, config in of.items()}


def made(rows, tmp_path, seeds=1):
    chosen = [BY_NAME[name] for name in rows]
    of = configs(*(row.run for row in chosen if row.config))
    tuned, pairs = RecognitionConfig(epochs=7), tmp_path / "pairs"
    return table6.table6(of, tuned, chosen, pairs, seeds, tmp_path / "out", True, QUIET)


def test_a_row_that_fails_leaves_the_others_alone(done, tmp_path):
    found = made(["difference", "mae", "mb1"], tmp_path)
    assert [bool(scored.failed) for scored in found] == [False, True, False]
    text = (tmp_path / "out" / "table6.md").read_text()
    assert "MAE (failed: no frames there)" in text and "μ-BERT (MB1)" in text
    with pytest.raises(UserError, match="no row could be measured; the first: no frames there"):
        made(["mae"], tmp_path / "alone")


def test_given_weights_are_imported_for_frames_of_the_size_of_all_others(
    done, tmp_path, monkeypatch
):
    def of_moco(file, folder, overrides, console):
        assert overrides == ["--config.model.image_size=32"]
        config = tiny_config(
            objective__name="vit_imagenet",
            objective__options={"dim": 384, "heads": 12, "patch_size": 8, "grid": 4},
        )
        save_imported(folder, config, Weights({"encoder": {"x": np.zeros(1)}}), file.name, Seen())

    monkeypatch.setattr(table6, "import_weights", of_moco)
    rows, out = [BY_NAME["mb1"], BY_NAME[MOCO_V3], BY_NAME[VIT_S]], tmp_path / "out"
    file = tmp_path / "vit-s.pth.tar"
    given = {name: file for name in (MOCO_V3, VIT_S)}
    asked = configs("mb1"), RecognitionConfig(), rows, tmp_path, 1, out, True, QUIET
    found = table6.table6(*asked, given)
    starts = {path.parent.name: c.training.init_from for path, c in done[1]}
    assert starts["moco_v3_imagenet-seed0"] == str(out / "moco_v3_imagenet")
    # MoCo v3's ViT-S has 12 heads, that of the row "ViT-S" 6.
    assert not found[1].failed and "holds no ViT-S" in found[2].failed
    with pytest.raises(UserError, match="its weights are not shipped; give them by --moco-v3=F"):
        table6.table6(*asked[:2], rows[1:], *asked[3:])


def test_rows_of_one_pretraining_share_it_and_beits_tokenizer_comes_first(done, tmp_path):
    pretrained, _ = done
    made(["beit", "mb3", "mb3-tokens"], tmp_path, seeds=2)
    folders = [str(folder.relative_to(tmp_path / "out")) for folder, _ in pretrained]
    by_seed = [[f for f in folders if f"-seed{seed}/" in f] for seed in (0, 1)]
    for seed, own in enumerate(by_seed):
        ends = f"-seed{seed}/pretrained"
        assert own == [f"{name}{ends}" for name in ("vq_tokenizer", "beit", "mb3", "mb3")]
    options = [config.objective.options for folder, config in pretrained if "beit" in str(folder)]
    assert options[0] == {"tokenizer": str(tmp_path / "out/vq_tokenizer-seed0/pretrained")}
    assert [config.training.seed for _, config in pretrained[:4]] == [0, 0, 1, 1]


def test_what_recognizers_read(done, tmp_path):
    _, tuned = done
    made(["farneback", "untrained", "mb3", "mb3-tokens"], tmp_path)
    asked = {}
    for folder, config in tuned:
        recognition = config.recognition
        name = "/".join(folder.parts[-2:]).replace("-seed0", "")
        asked[name] = (recognition.network, recognition.features, config.training.init_from)
        assert config.data.path == str(tmp_path / "pairs") and recognition.seeds == (0,)
        assert recognition.epochs == (7 if "fine-tuned" in name else 300)
    mb3 = str(tmp_path / "out" / "mb3-seed0" / "pretrained")
    backbone = "backbone"
    assert asked == {
        "farneback/frozen": ("linear_probe", "farneback", ""),
        "untrained/frozen": ("linear_probe", "encoder", ""),
        "untrained/fine-tuned": ("encoder", backbone, ""),
        "mb3/frozen": ("linear_probe", backbone, mb3),
        "mb3/fine-tuned": ("micron_bert", backbone, mb3),
        "mb3-tokens/frozen": ("linear_probe", "encoder", mb3),
        "mb3-tokens/fine-tuned": ("encoder", backbone, mb3),
    }


def test_the_table_has_scores_intervals_the_papers_figures_and_stamps(done, tmp_path):
    (scored,) = made(["mb1"], tmp_path, seeds=2)
    # Of 6 low and 6 high, 6 and 3 are named right: F1 of 12/15 and 6/9, recalls of 1 and a half.
    score = scored.scores["frozen"]
    assert score.uf1 == pytest.approx((12 / 15 + 6 / 9) / 2) and score.uar == 0.75
    assert score.of_uf1[0] < score.uf1 < score.of_uf1[1]
    out = tmp_path / "out"
    (line,) = [x for x in (out / "table6.md").read_text().splitlines() if "MB1" in x]
    assert re.search(r"\| 73\.3 \[.*\| 75\.0 \[.*\| 25\.27 \| 22\.96 \|$", line)
    numbers = pd.read_csv(out / "table6.csv")
    assert list(numbers["way"]) == ["frozen", "fine-tuned"]
    page = (out / "table6.html").read_text()
    assert "It saw everybody." in page and "data:image/png;base64," in page
    assert (out / "table6.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("row", [row for row in ROWS if row.config and row.run != "beit"])
def test_the_small_size_of_every_row_is_a_config(row):
    config = load_config(row.config, overrides_at_small_size(row.run, row.small))
    steps = 60 if "_r" in row.run else 300
    assert (config.model.image_size, config.training.steps) == (64, steps)
    make_objective(config)


def test_frames_to_pretrain_on_are_asked_for_before_anything_runs(done, tmp_path):
    rows, tuned = [BY_NAME["difference"], BY_NAME["mb1"]], RecognitionConfig()
    with pytest.raises(UserError, match="data.path is empty; give the frames to pretrain on"):
        table6.table6(configs("mb1", data=""), tuned, rows, tmp_path, 1, tmp_path, True, QUIET)
    assert done == ([], [])


def test_an_unknown_row_is_refused(tmp_path, capsys):
    flags = [f"--pairs={tmp_path}", f"--workdir={tmp_path / 'out'}"]
    assert main(["table6", *flags, "--rows", "mea"]) == 2
    assert "did you mean 'mae'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_row_of_the_papers_table_is_there():
    papers = {row.paper for row in ROWS if row.paper}
    assert len(papers) == 9
    assert BY_NAME["mb3"].paper == (32.64, 32.54)


def test_beit_tells_the_tokens_of_a_run_that_is_named(tmp_path, monkeypatch):
    seen = {}

    def of(_, row, configs):
        seen.update(configs)
        raise UserError("that is all")

    monkeypatch.setattr(table6.Comparison, "of", of)
    start = ["table6", f"--pairs={tmp_path}", f"--workdir={tmp_path / 'out'}"]
    start += ["--config.data.path=frames", "--tokenizer=runs/dalle", "--rows", "mae", "beit"]
    assert main(start) == 2
    assert seen["beit"].objective.options["tokenizer"] == "runs/dalle"
    assert set(seen) == {"mae", "beit"}


def test_a_tiny_row_from_frames_and_pairs_to_the_page(tmp_path, frames_set):
    pairs, out = tmp_path / "pairs", tmp_path / "out"
    people = ["--subjects=4", "--clips=5", "--size=32", "--frames=8", "--conditions", "lab"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={pairs}", *people]) == 0
    start = ["table6", f"--config.data.path={frames_set}", f"--pairs={pairs}", f"--workdir={out}"]
    start += ["--size=small", "--steps=1", "--config.training.batch_size=4", *TINY]
    start += ["--config.recognition.epochs=1", "--config.recognition.protocol=2-fold"]
    assert main([*start, "--rows", "mae"]) == 0
    folds = [path.relative_to(out).parts[:2] for path in out.rglob("*.npz")]
    assert sorted(folds) == [("mae-seed0", way) for way in ("fine-tuned", "frozen") for _ in "01"]
    assert list(pd.read_csv(out / "table6.csv")["way"]) == ["frozen", "fine-tuned"]
    # The size has a learning rate of its own, and what is asked for goes before what it has.
    asked = json.loads((out / "mae-seed0" / "fine-tuned" / "finetune.json").read_text())
    assert asked["recognition.learning_rate"] == "0.0003" and asked["recognition.epochs"] == "1"

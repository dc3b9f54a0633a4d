"""Each example of `docs/extending.md` is one new file: it works, and nothing else is touched."""

import csv
import importlib
import json
import sys

import cv2
import jax
import numpy as np
import pytest
from conftest import fresh_state, step_of, tiny_config, views_of, write_config_file

from mubert_jax.cli import main
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.objectives import make_objective
from mubert_jax.training.writers import read_metrics

from .pages import ROOT, blocks, example

PAGE = ROOT / "docs" / "extending.md"
PACKAGE = ROOT / "mubert_jax"
EXAMPLES = [block.file for block in blocks(PAGE) if block.file.startswith("mubert_jax/")]


def contents() -> dict:
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Puts an example's file beside those of its folder; the package stays as it is."""
    before, modules = contents(), []

    def put(file: str):
        folder, name = file.removesuffix(".py").rsplit("/", 1)
        assert not (ROOT / file).exists()
        package = importlib.import_module(folder.replace("/", "."))
        beside = tmp_path / "new" / folder
        beside.mkdir(parents=True)
        (beside / f"{name}.py").write_text(example(PAGE, file))
        modules.append(f"{package.__name__}.{name}")
        monkeypatch.delitem(sys.modules, modules[-1], raising=False)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(beside)])

    yield put
    for module in modules:
        sys.modules.pop(module, None)
    assert contents() == before


@pytest.fixture
def pretrain(tmp_path, frames_set):
    """A config -> the metrics of a run of 3 steps."""

    def start(config) -> list[dict]:
        run = tmp_path / "run"
        words = [f"--config={config}", f"--workdir={run}", f"--config.data.path={frames_set}"]
        assert main(["pretrain", *words, "--config.training.steps=3"]) == 0
        return read_metrics(run)

    return start


def test_every_seam_has_one_example():
    folders = [file.split("/")[1] for file in EXAMPLES]
    assert sorted(folders) == [
        *("data", "evaluators", "motion_maps", "objectives", "objectives", "recognition")
    ]


def test_an_objective(add, pretrain, tmp_path):
    add("mubert_jax/objectives/order.py")
    (tmp_path / "order.py").write_text(
        example(PAGE, "configs/order.py") + "\n\ndef get_config(of_the_page=get_config):\n"
        "    config = of_the_page()\n"
        "    config.model.image_size, config.swapping.min_block = 32, 2\n"
        "    config.training.batch_size, config.data.delta = 4, (1, 3)\n"
        "    config.runtime.log_every = 1\n"
        "    return config\n"
    )
    rows = pretrain(tmp_path / "order.py")
    assert rows[0]["order"] == pytest.approx(np.log(2), abs=1e-5)
    assert rows[-1]["order"] != rows[0]["order"] and 0 <= rows[-1]["accuracy"] <= 1


def test_what_an_objective_encodes_can_be_probed(add):
    add("mubert_jax/objectives/order.py")
    objective = make_objective(tiny_config(objective__name="order"))
    params = objective.init(jax.random.key(0))
    assert objective.encode(params, {}, np.zeros((2, 32, 32, 3), np.float32)).shape == (2, 16, 64)


def test_a_recognizer_network(add, tmp_path):
    add("mubert_jax/recognition/networks/two_layers.py")
    people = ["--subjects=3", "--clips=2", "--size=32", "--frames=8", "--conditions", "clean"]
    pairs = tmp_path / "pairs"
    assert main(["prepare", "synthetic", "--classes=5", f"--output={pairs}", *people]) == 0
    values = tiny_config(
        data__path=str(pairs),
        loss__agreement="none",
        recognition__network="two_layers",
        recognition__epochs=2,
        recognition__batch_size=4,
        recognition__learning_rate=0.01,
        recognition__seeds=(0,),
        recognition__weight_decay=(0.01,),
    )
    config = write_config_file(tmp_path / "config.py", values)
    words = [f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    assert main(["finetune", *words, "--config.recognition.options.hidden=4"]) == 0
    with (tmp_path / "run" / "predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_motion_map(add, tmp_path):
    add("mubert_jax/motion_maps/normal_flow.py")
    output = tmp_path / "rows.json"
    words = ["--subjects=3", "--size=32", "--conditions", "clean", f"--output={output}"]
    assert main(["bench", "perception", "--methods", "normal_flow", "difference", *words]) == 0
    rows = [row for row in json.loads(output.read_text()) if row["difficulty"] == "all"]
    scores = {row["method"]: row["auc_in_face"] for row in rows if row["registration"] == "none"}
    assert scores["normal flow"] > 0.9 and "difference" in scores


def test_a_data_set(add, tmp_path):
    add("mubert_jax/data/sets/mylab.py")
    emotions = ("happiness", "surprise", "fear")
    rows = [("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Emotion")]
    for subject in (1, 2):
        for clip, emotion in enumerate(emotions, start=1):
            rows.append((f"P{subject:02d}", f"t{clip:02d}", 3, 5, 8, "4", emotion))
            folder = tmp_path / "lab" / f"P{subject:02d}" / f"T{clip:02d}"
            folder.mkdir(parents=True)
            for number in range(1, 10):
                image = np.full((32, 32, 3), 20 * number, np.uint8)
                cv2.imwrite(str(folder / f"frame_{number:04d}.png"), image)
    rows.append(("P02", "t03", 1, 2, 3, "4", "neutral"))
    with (tmp_path / "lab" / "mylab.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    words = [f"--input={tmp_path / 'lab'}", f"--output={tmp_path / 'pairs'}", "--size=32"]
    assert main(["prepare", "mylab", *words, "--crop=none", "--lenient"]) == 0
    pairs = LabelledPairs(tmp_path / "pairs", 32)
    assert set(pairs.subject) == {"mylab/P01", "mylab/P02"}
    assert pairs.onset[0].mean() == 60 and pairs.apex[0].mean() == 100


def test_an_evaluator(add, pretrain, tmp_path):
    add("mubert_jax/evaluators/rank.py")
    add("mubert_jax/objectives/order.py")
    watched = tiny_config(objective__name="order", evaluation={"rank": {"every": 2, "people": 3}})
    rows = pretrain(write_config_file(tmp_path / "config.py", watched))
    name = "rank/effective_rank"
    measured = {row["step"]: row[name] for row in rows if name in row}
    assert list(measured) == [2, 3] and all(1 < rank <= 64 for rank in measured.values())


def test_an_agreement(add, noise_batch):
    add("mubert_jax/objectives/vicreg.py")
    config = tiny_config(objective__name="vicreg", loss__agreement="none")
    objective = make_objective(config)
    params = jax.jit(objective.init)(jax.random.key(0))
    views = jax.jit(lambda batch: views_of(config, batch))(noise_batch)
    loss, (metrics, _) = jax.jit(objective.loss)(params, {}, views, 0.0)
    assert metrics["agreement"] > 0
    assert loss == pytest.approx(metrics["reconstruction"] + metrics["agreement"])
    state = jax.eval_shape(lambda: fresh_state(config))
    trained, _ = jax.eval_shape(step_of(config), state, noise_batch)
    assert trained.params.keys() == params.keys()

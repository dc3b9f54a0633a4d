"""Whose faces weights have seen goes wherever the weights go."""

import shutil

import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.data.folder import subjects_of
from mubert_jax.training.checkpoints import load_seen, load_weights, save_imported
from mubert_jax.training.seen import Seen


def test_a_name_is_a_name_whatever_the_data_set_and_the_padding():
    seen = Seen.of(["s1", "sub02", "006"])
    for name in ("smic/s01", "S1", "casme2/sub2", "samm/006", "6"):
        assert name in seen
    for name in ("s10", "smic/s2", "sub06", "casme3/spNO.6"):
        assert name not in seen


def test_one_training_after_the_other():
    both = Seen.of(["a"]) | Seen(unknown=("x.pth",)) | Seen.of(["b"]) | Seen(unknown=("x.pth",))
    assert "a" in both and "b" in both and both.unknown == ("x.pth",)
    assert Seen.from_json(both.to_json(), "somewhere") == both
    assert Seen.from_json(None, "old.pth") == Seen(unknown=("old.pth",))


@pytest.fixture
def everyone(frames_set):
    return Seen.of(subjects_of(frames_set))


def test_a_run_knows_and_an_export_and_an_import_do_not_forget(trained_run, everyone, tmp_path):
    assert load_seen(trained_run) == everyone and everyone.people
    for name in ("w.safetensors", "w.pth"):
        export = tmp_path / name
        kind = "torch" if name.endswith("pth") else "safetensors"
        arguments = [f"--checkpoint={trained_run}", f"--format={kind}", f"--output={export}"]
        assert main(["export", *arguments]) == 0
        back = tmp_path / kind
        assert main(["import", f"--input={export}", f"--workdir={back}"]) == 0
        assert load_seen(back) == everyone


def test_a_run_that_started_from_another_adds_to_it_and_does_not_need_it_to_go_on(
    trained_run, frames_set, everyone, tmp_path
):
    older, run = tmp_path / "older", tmp_path / "run"
    config, _, weights = load_weights(trained_run)
    save_imported(older, config, weights, "w.pth", Seen.of(["grandmother"]))
    values = tiny_config(
        loss__agreement="mse",
        data__path=str(frames_set),
        training__steps=4,
        training__init_from=str(older),
        runtime__checkpoint_every=2,
    )
    file = write_config_file(tmp_path / "config.py", values)
    start = ["pretrain", f"--config={file}", f"--workdir={run}"]
    assert main(start) == 0
    shutil.rmtree(older)
    shutil.rmtree(run / "checkpoints" / "4")
    assert main(start) == 0
    assert (run / "checkpoints" / "4").exists()
    assert load_seen(run) == everyone | Seen.of(["grandmother"])

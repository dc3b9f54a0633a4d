"""The verbs as a user meets them: what they print, what they refuse, with which exit code."""

import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import tiny_config, write_config_file
from PIL import Image, ImageSequence

from mubert_jax.cli import main
from mubert_jax.cli.pretrain import _next
from mubert_jax.data.records import encode_image


@pytest.fixture
def images(tmp_path):
    """Two images, 40×40; the second has a brighter corner."""
    onset = np.full((40, 40, 3), 90, np.uint8)
    apex = onset.copy()
    apex[:12, :12] += 40
    paths = []
    for name, image in (("onset", onset), ("apex", apex)):
        paths.append(tmp_path / f"{name}.png")
        paths[-1].write_bytes(encode_image(image, "png"))
    return paths


def refused(capsys, *arguments):
    """Runs the command, which must fail with code 2 and one line; returns the line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


def pretrain(tmp_path, data, **overrides):
    config = write_config_file(tmp_path / "config.py", tiny_config(**overrides))
    return [
        "pretrain",
        f"--config={config}",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.path={data}",
    ]


VERBS = ("prepare", "pretrain", "perceive", "export", "import", "ablate", "evaluate", "bench")


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_is_short_and_has_an_example(verb, capsys):
    if verb is None:
        assert main([]) == 0
        text = capsys.readouterr().out
        assert all(name in text for name in VERBS)
    else:
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert f"example:\n  mubert {verb}" in text
    assert len(text.splitlines()) <= 56  # those of `prepare`


def test_misspelt_verbs_and_flags(capsys, tmp_path):
    assert "did you mean 'pretrain'" in refused(capsys, "pretrian")
    line = refused(capsys, *pretrain(tmp_path, tmp_path), "--wrokdir=x")
    assert "--wrokdir=x" in line and "did you mean '--workdir'" in line
    line = refused(capsys, "perceive", "--checkpoint=x", "--output=y", "--config.model.dim=3")
    assert "--config.model.dim=3" in line


@pytest.mark.parametrize("arguments", [["prepare"], ["perceive", "--pairs=many"]])
def test_missing_and_wrong_flags_take_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--help" in error


def test_prepare_refuses_what_is_not_there(capsys, tmp_path):
    out = f"--output={tmp_path / 'out'}"
    assert "no such file" in refused(capsys, "prepare", "video", "--input=/absent.mp4", out)
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 100)
    line = refused(capsys, "prepare", "video", f"--input={tmp_path / 'broken.mp4'}", out)
    assert "broken.mp4" in line
    assert "did you mean" in refused(capsys, "prepare", "vidoe", f"--input={tmp_path}", out)
    assert not (tmp_path / "out").exists()


def test_prepare_synthetic(capsys, tmp_path):
    out = f"--output={tmp_path / 'out'}"
    made = ["--size=32", "--subjects=1", "--clips=2", "--frames=8", "--conditions", "clean", "all"]
    assert main(["prepare", "synthetic", out, *made]) == 0
    assert "16 frames of 1 subject," in capsys.readouterr().out
    line = refused(capsys, "prepare", "synthetic", out, *made, "--seed=3")
    assert "seed=0" in line and "seed=3" in line
    other = f"--output={tmp_path / 'other'}"
    line = refused(capsys, "prepare", "synthetic", other, "--conditions", "fog")
    assert "--conditions fog: choose from clean" in line
    assert "needs --input" in refused(capsys, "prepare", "video", other)
    line = refused(capsys, "prepare", "video", f"--input={tmp_path}", other, "--frames=9")
    assert "--frames is for `synthetic` alone" in line


def test_pretrain_refuses(capsys, tmp_path, frames_set):
    run = pretrain(tmp_path, frames_set)
    assert "did you mean" in refused(capsys, *run, "--config.model.dimm=3")
    assert "no such data-set folder" in refused(capsys, *pretrain(tmp_path, tmp_path / "absent"))
    line = refused(capsys, *pretrain(tmp_path, frames_set, model__image_size=48))
    assert "32x32" in line and "48x48" in line
    line = refused(capsys, *pretrain(tmp_path, frames_set, data__delta=(30, 40)))
    assert "30 to 40" in line and "clip0" in line
    line = refused(
        capsys,
        *pretrain(tmp_path, frames_set, training__batch_size=3),
        "--config.runtime.mesh=(-1,1,1)",
    )
    assert "batch_size is 3" in line
    assert not (tmp_path / "run").exists() or not list(
        (tmp_path / "run").glob("checkpoints/[0-9]*")
    )


def test_pretrain_names_the_corrupted_record(capsys, tmp_path, frames_set):
    damaged = tmp_path / "damaged"
    shutil.copytree(frames_set, damaged)
    shard = sorted(damaged.glob("*.tfrecord-*"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    line = refused(capsys, *pretrain(tmp_path, damaged))
    assert shard.name in line and "record" in line and "offset" in line


def test_nan_names_the_step_and_keeps_the_last_good_checkpoint(capsys, tmp_path, frames_set):
    run = pretrain(
        tmp_path,
        frames_set,
        loss__agreement="none",
        optimizer__learning_rate=1e30,
        runtime__checkpoint_every=1,
    )
    line = refused(capsys, *run)
    assert "at step 2" in line or "at step 3" in line
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept and kept[-1] in ("1", "2")


def test_perceive_two_images(trained_run, images, tmp_path, capsys):
    onset, apex = images
    output = tmp_path / "maps.png"
    arguments = [f"--checkpoint={trained_run}", f"--output={output}", "--crop=none"]
    assert main(["perceive", *arguments, f"--onset={onset}", f"--apex={apex}"]) == 0
    assert cv2.imread(str(output)) is not None
    maps = np.load(output.with_suffix(".npz"))
    assert maps["dma"].shape == maps["poi"].shape == (1, 4, 4)
    np.testing.assert_allclose(maps["poi"].mean(), 1, rtol=1e-4)
    assert (maps["dma_poi"] <= maps["dma"] * maps["poi"] + 1e-6).all() and maps["dma_poi"].any()
    assert maps["dma"][0, 0, 0] == maps["dma"].max() > 0

    assert main(["perceive", *arguments, f"--onset={onset}", f"--apex={onset}"]) == 0
    np.testing.assert_array_equal(np.load(output.with_suffix(".npz"))["dma"], 0)

    frames = (f"--onset={onset}", f"--apex={apex}")
    assert main(["perceive", *arguments, *frames, "--poi=attention"]) == 0
    plain = np.load(output.with_suffix(".npz"))
    np.testing.assert_allclose(plain["dma_poi"], plain["dma"] * plain["poi"])
    assert (plain["poi"] != maps["poi"]).any()


def test_perceive_a_video(trained_run, tmp_path, capsys):
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64))
    for i in range(20):
        frame = np.full((64, 64, 3), 60, np.uint8)
        cv2.circle(frame, (20 + 2 * max(0, i - 10), 32), 10, (200, 180, 160), -1)
        writer.write(frame)
    writer.release()
    output = tmp_path / "maps.png"
    arguments = [f"--checkpoint={trained_run}", f"--video={path}", f"--output={output}"]
    assert "no face" in refused(capsys, "perceive", *arguments)
    assert not output.exists()
    film = tmp_path / "maps.gif"
    shown = ["--crop=none", "--pairs=3", f"--animation={film}"]
    assert main(["perceive", *arguments, *shown]) == 0
    with Image.open(film) as picture:
        durations = [picture.info["duration"] for _ in ImageSequence.Iterator(picture)]
    # 25 per second; equal pictures are one that stands longer.
    assert len(durations) > 5 and sum(durations) == 18 * 40
    maps = np.load(output.with_suffix(".npz"))
    assert maps["frames"].shape == (3, 2)
    energy = maps["dma_poi"].mean((1, 2))
    assert energy[0] == energy.max() and energy[-1] == energy.min()
    assert maps["frames"][0, 1] > 10 and maps["frames"][-1, 1] <= 10
    line = refused(capsys, "perceive", *arguments, "--crop=none", "--delta=50")
    assert "20 frames" in line and "--delta" in line


def test_perceive_refuses(trained_run, images, tmp_path, capsys):
    output = f"--output={tmp_path / 'maps.png'}"
    onset = f"--onset={images[0]}"
    line = refused(
        capsys, "perceive", f"--checkpoint={tmp_path}", onset, f"--apex={images[1]}", output
    )
    assert "no checkpoint" in line
    run = f"--checkpoint={trained_run}"
    assert "--apex" in refused(capsys, "perceive", run, onset, output)
    assert "absent.png" in refused(
        capsys, "perceive", run, onset, "--apex=absent.png", "--crop=none", output
    )
    assert "--crop none" in refused(capsys, "perceive", run, onset, f"--apex={images[1]}", output)


def test_diagonal_map_of_the_paper(trained_run, images, tmp_path):
    output = tmp_path / "maps.png"
    frames = [f"--onset={images[0]}", f"--apex={images[1]}"]
    run = [f"--checkpoint={trained_run}", "--crop=none", "--map=diagonal", f"--output={output}"]
    assert main(["perceive", *frames, *run]) == 0
    dma = np.load(output.with_suffix(".npz"))["dma"]
    assert (dma >= 0).all() and (dma <= 1).all()


def test_run_folder_holds_what_was_promised(trained_run):
    names = {path.name for path in trained_run.iterdir()}
    assert {"config.json", "metrics.csv", "metrics.jsonl", "training.png", "checkpoints"} <= names
    assert json.loads((trained_run / "perception.json").read_text())["calibrated"] > 0


def test_bench_step_and_input(tmp_path, frames_set, capsys):
    small = {"loss__agreement": "none", "model__depth": 1}
    config = write_config_file(tmp_path / "config.py", tiny_config(**small))
    output = tmp_path / "bench.json"
    common = [f"--config={config}", f"--output={output}"]
    mae = tiny_config(objective__name="mae", **small)
    write_config_file(tmp_path / "of_mae.py", mae)
    others = ["--peer", "torch-sdpa", f"--beside={tmp_path / 'of_mae.py'}"]
    assert main(["bench", "step", *common, "--batch-size=2", "--steps=1", *others]) == 0
    (row,) = json.loads(output.read_text())
    assert row["pairs/s"] > 0 and row["ratio to torch-sdpa"] > 0 and row["planned memory, GB"] > 0
    assert row["ratio to of_mae"] == pytest.approx(row["pairs/s"] / row["of_mae, pairs/s"])
    assert main(["bench", "step", f"--config={tmp_path / 'of_mae.py'}", "--peer", "torch"]) == 2
    assert "the config's objective is 'mae', see --beside" in capsys.readouterr().err
    counted, xla = row["GFLOP per pair, counted"], row["GFLOP per pair, XLA's count"]
    assert 0.5 < counted / xla < 1.2
    arguments = ["bench", "input", *common, f"--data={frames_set}", "--seconds=0.2"]
    assert main(arguments) == 0
    (row,) = json.loads(output.read_text())
    assert row["pipeline, pairs/s"] > 0 and row["bare decoding, pairs/s"] > 0


@pytest.mark.parametrize(
    "objective, then",
    [
        ("micron_bert", "perceive --checkpoint={run} --video=VIDEO"),
        ("mae", "finetune --config=configs/finetune_encoder.py"),
        ("raft", "export --checkpoint={run} --format=safetensors"),
    ],
)
def test_what_comes_after_a_pretraining_fits_its_objective(objective, then):
    assert _next(tiny_config(objective__name=objective)).startswith(then)

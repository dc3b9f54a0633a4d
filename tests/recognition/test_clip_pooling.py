"""Recognition from all frames of a clip, in place of onset and apex."""

import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.cli import main
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.records import decode_image
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import load
from mubert_jax.recognition import finetune
from mubert_jax.recognition.flow_inputs import of_frames
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.predictions import Predictions

PEOPLE = ["--subjects=3", "--clips=5", "--size=32", "--frames=8", "--conditions", "lab"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "people"
    flags = ["--classes=5", f"--output={folder}", "--clip-frames=3"]
    assert main(["prepare", "synthetic", *flags, *PEOPLE]) == 0
    return folder


def test_a_clip_is_recognized_from_what_is_stored_of_it(drawn, tmp_path):
    size = ["--config.model.image_size=32", "--config.swapping.min_block=4"]
    flags = [*size, f"--config.data.path={drawn}", "--config.recognition.seeds=(0,)"]
    run, pooled = tmp_path / "run", "--config.recognition.clip_pooling=mean"
    call = ["finetune", "--config=configs/recognition/ridge.py", f"--workdir={run}", pooled]
    assert main([*call, *flags]) == 0
    (stored,) = (run / "inputs").glob("*.npy")
    pairs = LabelledPairs(drawn, 32)
    shown = [[decode_image(image) for image in clip] for clip in pairs.clip_frames]
    at_onset = [
        of_frames(load("farneback"), "per-channel", pairs.onset, np.stack(frames))
        for frames in zip(*shown, strict=True)
    ]
    np.testing.assert_allclose(np.load(stored)[0], np.mean(at_onset, 0), atol=1e-5)
    found = Predictions.load(run / "predictions.csv", tuple(pairs.classes))
    assert len(found.truth) == 15


def test_what_cannot_be_pooled_is_one_line(drawn, trained_run, tmp_path):
    alone = tmp_path / "alone"
    assert main(["prepare", "synthetic", "--classes=5", f"--output={alone}", *PEOPLE]) == 0

    def opened(data=alone, **recognition):
        keys = {f"recognition__{key}": value for key, value in recognition.items()}
        start = {"training__init_from": str(trained_run), "data__path": str(data)}
        config = tiny_config(**start, recognition__clip_pooling="mean", **keys)
        return finetune._opened(config, make_network(config), None)

    with pytest.raises(UserError, match="holds onset and apex alone; run mubert prepare with --cl"):
        opened()
    with pytest.raises(UserError, match="clip_pooling: encoder learns from onset and apex themsel"):
        opened(drawn, network="encoder")
    with pytest.raises(UserError, match="magnification is of the apex alone"):
        opened(drawn, magnification=3.0)
    _, pairs, _ = opened(drawn)
    assert all(len(frames) == 3 for frames in pairs.clip_frames)

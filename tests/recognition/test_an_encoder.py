"""Recognizers on the encoder of another objective: its tokens' change, frozen or fine-tuned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config
from recognition.test_finetune import Pairs, crossed, pairs, uf1

from mubert_jax.cli import main
from mubert_jax.models.images import normalise
from mubert_jax.objectives import make_objective
from mubert_jax.perception.emotions import cell_means
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition import finetune
from mubert_jax.recognition.inputs import TOKENS, Inputs
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.networks._fine_tuned import depths
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen

MAE = tiny_config(objective__name="mae", model__depth=1)
RECOGNITION = {
    "recognition__network": "encoder",
    "recognition__epochs": 2,
    "recognition__head_epochs": 60,
    "recognition__batch_size": 16,
    "recognition__learning_rate": 1e-3,
    "recognition__copies": 0,
    "recognition__seeds": (0,),
    "recognition__protocol": "2-fold",
    "recognition__weight_decay": (0.01,),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("mae")
    params = jax.jit(make_objective(MAE).init)(jax.random.key(0))
    save_imported(workdir, MAE, Weights(params), "a test", Seen())
    return workdir


@pytest.fixture(scope="module")
def trained(folder):
    return Trained.of_run(folder, extra=True)


def lit():
    """8 subjects × 6 clips; where the light changes is the class."""
    clips = pairs()
    clips.apex = clips.onset.copy()
    for row, place in enumerate(clips.label):
        clips.apex[row, 2 + 10 * place : 10 + 10 * place, 8:24] += 40
    return clips


def of_backbone(trained, **recognition):
    """A config as `finetune` makes it, and the backbone."""
    asked = tiny_config(**(RECOGNITION | recognition))
    config = finetune._with_backbone(asked, trained, 3, None)
    return config, finetune._backbone(config, trained)


def test_what_is_read_is_the_change_of_the_encoders_tokens(trained):
    config, backbone = of_backbone(trained)
    clips = pairs()
    few = Pairs(onset=clips.onset[:3], apex=clips.apex[:3], label=clips.label[:3])
    few.apex = few.apex.copy()
    few.apex[2] = few.onset[2]
    found = Inputs(few, backbone, config.recognition).read(TOKENS)[0]
    encode = jax.jit(make_objective(MAE).encode)
    frames = (normalise(jnp.asarray(x)) for x in (few.onset, few.apex))
    onset, apex = (encode(trained.params, {}, x) for x in frames)
    # 4 × 4 patches are as many cells.
    np.testing.assert_allclose(found, np.asarray(apex - onset).reshape(3, -1), atol=1e-4)
    np.testing.assert_array_equal(found[2], 0)


def test_a_linear_layer_on_a_frozen_encoder_finds_what_moved(trained, tmp_path):
    config, backbone = of_backbone(
        trained,
        recognition__network="linear_probe",
        recognition__features="encoder",
        recognition__epochs=100,
    )
    assert uf1(crossed(config, backbone, lit(), tmp_path / "run")) > 0.7


def test_fine_tuning_starts_from_the_linear_layer(trained):
    config, backbone = of_backbone(trained)
    network, clips = make_network(config, backbone), lit()
    inputs, marks = Inputs(clips, backbone, config.recognition), np.ones((1, 48), bool)
    start = jax.tree.map(lambda x: x[0], network.start(inputs, 0, np.array([0]), marks))
    assert np.any(start["head"]["kernel"])
    read = {"frames": jnp.asarray(network.read(inputs, 0)["frames"][0])}
    logits = jax.jit(network.logits)(start, read)
    fitted = inputs.read(TOKENS)[0] @ start["head"]["kernel"] + start["head"]["bias"]
    np.testing.assert_allclose(logits, fitted, atol=1e-2)
    depths = network.layers(start)
    assert depths["encoder"]["patch_embed"]["kernel"] == 2 and depths["head"]["bias"] == 0


@pytest.mark.slow
def test_fine_tuning_changes_the_encoder(trained):
    config, backbone = of_backbone(trained)
    network, clips = make_network(config, backbone), lit()
    inputs, marks = Inputs(clips, backbone, config.recognition), np.ones((1, 48), bool)
    _, losses, learnt, _ = network.learner(inputs, 0)(np.array([0]), marks, np.array([0.01]))
    assert losses.shape == (1, 2) and losses[0, -1] < 1.0
    before, after = (
        x["encoder"]["blocks_0"]["mlp"]["fc1"]["kernel"] for x in (trained.params, learnt)
    )
    assert 0 < np.abs(after[0] - before).max() < 0.1


@pytest.mark.parametrize("command", [["perceive", "--video=v.avi"], ["finetune"]])
def test_what_another_objective_cannot_be_used_for_says_so(folder, tmp_path, capsys, command):
    own = {
        "perceive": [f"--checkpoint={folder}", f"--output={tmp_path / 'x.png'}"],
        "finetune": [
            "--config=configs/finetune.py",
            f"--workdir={tmp_path / 'run'}",
            f"--config.data.path={tmp_path}",
            f"--config.training.init_from={folder}",
        ],
    }
    assert main([*command, *own[command[0]]]) == 2
    error = capsys.readouterr().err
    assert "config.objective.name='mae': it has no DMA" in error and error.count("\n") == 1


def test_a_fresh_micron_bert_has_an_encoder_of_its_own():
    config = tiny_config(model__recognizer__classes=2, **RECOGNITION)
    backbone = finetune._backbone(dataclasses.replace(config), None)
    assert backbone.other is None
    frames = jnp.ones((1, 32, 32, 3))
    encoder = backbone.encoder
    change = jax.jit(encoder.token_change)(encoder.params, {}, frames, frames)
    np.testing.assert_array_equal(change, np.zeros((1, 16 * 32)))


def test_cells_are_true_means_and_folds_of_another_encoder_are_not_taken_for_its_own(trained):
    maps = np.random.default_rng(0).normal(size=(2, 10, 10, 3)).astype(np.float32)
    found = np.asarray(cell_means(maps, 4)).reshape(2, 4, 4, 3)
    np.testing.assert_allclose(found[:, 0, 1], maps[:, :2, 2:5].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[:, 3, 3], maps[:, 7:, 7:].mean((1, 2)), rtol=1e-5)
    config, backbone = of_backbone(trained)
    other = dataclasses.replace(
        backbone.other, params=jax.tree.map(lambda x: x + 1, trained.params)
    )
    plans = [
        finetune._plan(config, dataclasses.replace(backbone, other=encoder), pairs())
        for encoder in (backbone.other, other)
    ]
    assert plans[0] != plans[1]


def test_lower_blocks_of_a_resnet_learn_slower_too():
    names = ("conv1", "layer1_0", "layer1_1", "layer2_0")
    params = {"encoder": {name: {"kernel": 0} for name in names}, "head": {"bias": 0}}
    found = depths(params, "head")
    assert [found["encoder"][name]["kernel"] for name in names] == [4, 3, 2, 1]
    assert found["head"]["bias"] == 0

"""Networks that are trained: the folds together as one by one, lower layers slower."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.network import FineTuning, train
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.networks._fine_tuned import HEADS


def tiny(reads, count=12, **recognition):
    """A config, a backbone, and what can be read of `count` pairs of two classes."""
    config = tiny_config(
        loss__agreement="none",
        model__recognizer__classes=2,
        model__recognizer__reads=reads,
        recognition=recognition,
    )
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    onset, apex = pairs(count)
    clips = SimpleNamespace(onset=onset, apex=apex, label=np.arange(count) % 2)
    backbone = Backbone(model, params)
    return config, backbone, Inputs(clips, backbone, config.recognition)


def pairs(count):
    """Half of the pairs move."""
    random = np.random.default_rng(0)
    onset = random.integers(0, 255, (count, 32, 32, 3)).astype(np.uint8)
    apex = onset.copy()
    apex[::2, 8:24, 8:24] = np.roll(onset[::2, 8:24, 8:24], 2, axis=1)
    return onset, apex


@pytest.mark.slow
def test_fine_tuned_folds_learn_the_same_in_whatever_company_and_lower_blocks_slower():
    config, backbone, inputs = tiny(
        "dma",
        network="micron_bert",
        epochs=2,
        batch_size=4,
        learning_rate=3e-3,
        balance="sampling",
        layer_decay=0.1,
        head_epochs=0,
    )
    network, params = make_network(config, backbone), backbone.params
    marks = np.stack([np.arange(12) % 3 != fold for fold in range(3)])

    def run(folds):
        rows = (np.array(folds), marks[folds], np.full(len(folds), 0.01))
        start = network.start(inputs, 0, *rows[:2])
        return train(network, start, network.read(inputs, 0), inputs.label, *rows, seed=0)

    together, losses = run([0, 1, 2])
    alone, own_losses = run([1])
    np.testing.assert_allclose(losses[1], own_losses[0], rtol=1e-4)
    logits = [
        backbone.model.apply(
            {"params": jax.tree.map(lambda x, row=row: x[row], trained)},
            *map(normalise, pairs(12)),
            method="logits",
        )
        for trained, row in ((together, 1), (alone, 0))
    ]
    np.testing.assert_allclose(*logits, atol=2e-3)
    assert "decoder" not in together

    def moved(*path):
        old, new = params, alone
        for name in path:
            old, new = old[name], new[name]
        return float(np.abs(np.asarray(new[0]) - np.asarray(old)).max())

    head, upper, lower = (
        moved(*path, "kernel")
        for path in (
            ("recognizer", "head"),
            ("encoder", "blocks_1", "attn", "qkv"),
            ("encoder", "patch_embed"),
        )
    )
    assert head > 3 * upper > 9 * lower, "lower blocks learn slower"


@pytest.mark.slow
def test_a_backbone_that_learns_can_be_watched():
    """20 watched clips, more than are looked at in one batch; they change nothing."""
    shared = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "head_epochs": 5}
    config, backbone, inputs = tiny("dma", 40, network="micron_bert", **shared)
    network, folds = make_network(config, backbone), np.arange(2)
    train, decays = np.stack([np.arange(40) % 2 == fold for fold in folds]), np.full(2, 0.01)
    watched = np.stack([np.flatnonzero(~marks) for marks in train])
    plain, looked = (
        network.learner(inputs, 0)(folds, train, decays, rows) for rows in (None, watched)
    )
    np.testing.assert_array_equal(plain.logits, looked.logits)
    assert plain.named is None and looked.named.shape == (2, 2, 20)
    last = np.take_along_axis(looked.logits.argmax(-1), watched, axis=1)
    np.testing.assert_array_equal(looked.named[:, -1], last)


@pytest.mark.slow
def test_full_fine_tuning_starts_from_heads_that_fit():
    """With next to no learning rate it ends where it started."""
    shared = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-9, "head_epochs": 40}
    config, backbone, inputs = tiny("movement", network="micron_bert", **shared)
    folds, train = np.arange(2), np.stack([np.arange(12) % 3 != fold for fold in range(2)])
    decays = np.full(2, HEADS.weight_decay[0])
    heads_alone = dataclasses.replace(config, recognition=dataclasses.replace(HEADS, epochs=40))
    fitted, expected = (
        make_network(of, backbone).learner(inputs, 0)(folds, train, decays).logits
        for of in (config, heads_alone)
    )
    np.testing.assert_allclose(fitted, expected, atol=1e-3)
    assert np.abs(expected).max() > 0.1, "a fresh head would give other logits"


def test_a_step_draws_among_the_copies_of_what_it_may_learn_from():
    config = tiny_config(recognition={"batch_size": 64, "balance": "sampling"})
    network = SimpleNamespace(copies=2, config=config, augment=lambda key, inputs: inputs)
    marks, where = np.array([1, 0, 1, 0, 1], bool), np.stack(np.mgrid[:3, :5], axis=-1)
    label = np.arange(5) % 2
    batch = {"key": jax.random.key(0), "step": 3, "train": marks, "weight": marks / 3}
    batch |= {"read": {"where": jnp.asarray(where)}, "label": jnp.asarray(label)}
    inputs, labels, counts, _ = FineTuning(network).views(None, batch)
    copies, rows = np.asarray(inputs["where"]).T
    assert set(copies) == {0, 1, 2} and set(rows) == {0, 2, 4}
    np.testing.assert_array_equal(labels, label[rows])
    np.testing.assert_allclose(counts, 1 / 64)

"""The field's light networks: their sizes, and that nothing of a test clip reaches its fold."""

import functools
import math
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config
from safetensors.numpy import save_file

from mubert_jax.config_files import load_config
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import per_channel
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.network import STATISTICS
from mubert_jax.recognition.networks import capsulenet, htnet, make_network, rcn, ststnet
from mubert_jax.recognition.networks._light import FlaxNetwork
from mubert_jax.recognition.networks._pooled_windows import windows_of
from mubert_jax.recognition.networks._windows import Conv, max_pool

CLASSES, PEOPLE, PER_PERSON = 3, 4, 6
CLIPS = PEOPLE * PER_PERSON
PERSON = np.arange(CLIPS) // PER_PERSON
TRAIN = np.stack([PERSON != person for person in range(PEOPLE)])
# A network -> how a tiny one learns in little time.
TINY = {
    "ridge": {"weight_decay": (0.1,)},
    "ststnet": {"learning_rate": 0.02, "epochs": 30},
    "small": {"learning_rate": 0.01, "epochs": 12, "batch_size": 18},
    "rcn": {
        "learning_rate": 0.05,
        "epochs": 30,
        "batch_size": 18,
        "options": {"channels": 8, "cells": 3},
    },
    "off_apexnet": {
        "learning_rate": 1e-3,
        "epochs": 25,
        "batch_size": 18,
        "options": {"hidden": 64},
    },
    "htnet": {
        "learning_rate": 1e-3,
        "epochs": 12,
        "batch_size": 18,
        "options": {"dim": 12, "heads": 2, "repeats": (1, 1, 1)},
    },
    "dual_inception": {
        "learning_rate": 3e-3,
        "epochs": 12,
        "batch_size": 18,
        "options": {"hidden": 16},
    },
}
FAST = ("ridge", "small")
networks = pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in TINY]
)


class Small(FlaxNetwork):
    """The least network with a batch norm and dropout."""

    def module(self):
        return Normed(self.classes)


class Normed(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, maps, train):
        x = nn.Dense(8)(maps[:, ::3, ::3, 0].reshape(len(maps), -1))
        x = nn.Dropout(0.1, deterministic=not train)(nn.BatchNorm(not train, momentum=0.7)(x))
        return nn.Dense(self.classes)(x)


def network_of(name, **recognition):
    """A network for `CLASSES` classes, without a backbone."""
    settings = {"network": "ststnet" if name == "small" else name} | recognition
    make = Small if name == "small" else make_network
    return make(tiny_config(model__recognizer__classes=CLASSES, recognition=settings))


def clips():
    """Stored flow, which is strong at the place of the clip's class, and noise elsewhere."""
    random = np.random.default_rng(0)
    label = np.arange(CLIPS) % CLASSES
    flow = random.uniform(0, 80, (CLIPS, 28, 28, 3))
    for clip, number in enumerate(label):
        flow[clip, 9 * number : 9 * number + 8, 10:20] += 150
    return SimpleNamespace(label=label, flow=flow.astype(np.float32))


@functools.cache
def fitted(name):
    """What each fold learned; what one learned in other company; and from other test clips."""
    tiny = network_of(name, **TINY[name])
    decay, whole = np.full(PEOPLE, tiny.config.recognition.weight_decay[0]), clips()

    def learn(given, *folds, watched=None):
        return tiny.learner(Inputs(given, None, tiny.config.recognition), 0)(
            np.array(folds), TRAIN[[*folds]], decay[[*folds]], watched
        )

    other = clips()
    tested = np.flatnonzero(~TRAIN[1])
    other.flow[tested[1:]] = 255 - other.flow[tested[1:], ::-1]
    other.label[tested] = 0
    # Always two at a time, so that all is compiled once.
    halves = [
        learn(whole, *folds, watched=np.stack([np.flatnonzero(~TRAIN[fold]) for fold in folds]))
        for folds in ((0, 1), (2, 3))
    ]
    every = jax.tree.map(lambda *parts: np.concatenate(parts), *halves)
    return whole.label, every, learn(whole, 1, 3), learn(other, 1, 3), tested


@networks
def test_people_that_a_fold_left_out_are_recognized(name):
    label, (logits, losses, *_), *_ = fitted(name)
    predicted = np.array([logits[PERSON[clip], clip].argmax() for clip in range(CLIPS)])
    assert np.mean(predicted == label) > 0.8
    assert np.isfinite(losses).all() and losses.shape[0] == PEOPLE


@networks
def test_test_clips_that_are_watched_are_named_as_in_the_end(name):
    _, learned, *_ = fitted(name)
    if name == "ridge":
        assert learned.named is None
        return
    own = [learned.logits[fold, ~marks].argmax(-1) for fold, marks in enumerate(TRAIN)]
    np.testing.assert_array_equal(learned.named[:, -1], own)
    assert learned.named.shape == (PEOPLE, learned.losses.shape[1], PER_PERSON)
    assert (learned.named != learned.named[:, -1:]).any(), "else nothing was learnt meanwhile"


@networks
def test_a_fold_learns_the_same_in_whatever_company(name):
    """And watched as unwatched."""
    _, (logits, _, trained, _), (again, _, trained_again, _), *_ = fitted(name)
    np.testing.assert_allclose(logits[[1, 3]], again, atol=1e-3)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x[[1, 3]], y, atol=1e-4), trained, trained_again
    )


@networks
def test_no_test_clip_changes_its_fold_or_another_test_clip(name):
    """All test clips but the first, and all of their labels, are others."""
    _, _, one, another, tested = fitted(name)
    (logits, losses, trained, _), (other, other_losses, other_trained, _) = one, another
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[0], y[0]), trained, other_trained)
    np.testing.assert_array_equal(losses[0], other_losses[0])
    same = [*np.flatnonzero(TRAIN[1]), tested[0]]
    np.testing.assert_array_equal(logits[0, same], other[0, same])
    assert np.abs(logits[0, tested[1:]] - other[0, tested[1:]]).max() > 0.1


def test_running_averages_are_those_of_the_folds_training_clips():
    _, (_, _, trained, _), *_ = fitted("small")
    maps = per_channel(clips().flow)[:, ::3, ::3, 0].reshape(CLIPS, -1)
    dense, averages = trained["params"]["Dense_0"], trained[STATISTICS]["BatchNorm_0"]["mean"]
    for fold, marks in enumerate(TRAIN):
        mean = (maps[marks] @ dense["kernel"][fold] + dense["bias"][fold]).mean(0)
        assert np.corrcoef(mean, averages[fold])[0, 1] > 0.95
        assert 0.7 < np.linalg.norm(averages[fold]) / np.linalg.norm(mean) < 1.1


@pytest.mark.slow
@networks
def test_shuffled_labels_stay_at_chance(name):
    tiny, given = network_of(name, **TINY[name]), clips()
    right = []
    for seed in range(4):
        given.label = np.random.default_rng(seed).permutation(given.label)
        learn = tiny.learner(Inputs(given, None, tiny.config.recognition), seed)
        decay = np.full(PEOPLE, tiny.config.recognition.weight_decay[0])
        logits = learn(np.arange(PEOPLE), TRAIN, decay).logits
        right += [logits[PERSON[i], i].argmax() == given.label[i] for i in range(CLIPS)]
    assert abs(np.mean(right) - 1 / CLASSES) < 0.2  # four standard errors of 96 clips


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("ststnet", {}, 1_683),
        ("off_apexnet", {}, 2_664_475),
        ("dual_inception", {}, 6_449_867),
        ("rcn", {}, 15_331),
        ("rcn", {"channels": 64, "cells": 7}, 55_747),
        ("htnet", {"attention": True}, 139_582_982),
        ("ridge", {}, (147 + 1) * CLASSES),
    ],
)
def test_parameters_as_published(name, options, count):
    published = network_of(name, options=options)
    maps = {published.reads[0]: jnp.zeros((1, 28, 28, 3))}
    found = jax.eval_shape(lambda: published.init(jax.random.key(0), maps))
    learned = {part: tree for part, tree in found.items() if part != STATISTICS}
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(learned)) == count


@pytest.mark.parametrize(
    "name, settings, said",
    [
        ("ridge", {"options": {"cells": 5}}, "cells is 5; the 28 pixels of a side are divided by"),
        ("ridge", {"weight_decay": (0.0, 0.1)}, "a ridge regression needs positive values"),
        ("ridge", {"optimism": True}, "ridge is solved in closed form, so there is no epoch to"),
        ("rcn", {"options": {"cells": 0}}, "options.cells is 0; choose 1 or more"),
        ("ststnet", {"options": {"flow": "tvl2"}}, "'flow_maps/tvl2'; did you mean 'tvl1'?"),
        ("ststnet", {"options": {"flow": "ssim"}}, "made of flow, which '1 - SSIM' does not give"),
        ("ststnet", {"options": {"normalise": "pixel"}}, "it takes one of: per-channel, pixels"),
    ],
)
def test_what_a_network_does_not_take_is_said(name, settings, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        network_of(name, **settings)


def test_stored_flow_has_no_frames_to_make_anything_of():
    for name in ("frames", "flow_maps/dis", "flow"):
        with pytest.raises(UserError, match="hold stored flow and no frames"):
            Inputs(clips(), None, None).read(name)
    stretched = Inputs(clips(), None, None).read("flow_maps")
    np.testing.assert_allclose(stretched.max((2, 3)), 255.0)
    as_stored = Inputs(clips(), None, None).read("flow_maps/pixels")
    np.testing.assert_array_equal(as_stored[0], clips().flow)


def test_folds_over_shared_windows_are_those_of_the_module():
    """Logits, statistics and gradients, with dropout off, and where a batch norm turns its sign."""
    tiny, given = network_of("ststnet"), clips()
    maps, label = jnp.asarray(given.flow[:6] / 255), jnp.asarray(given.label[:6])
    train = np.array([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 1, 0]], bool)
    variables = tiny.start(Inputs(given, None, None), 0, np.arange(2), train)
    params = variables["params"]
    statistics = jax.tree.map(lambda x: x[0], variables[STATISTICS])
    params["norm"]["scale"] = params["norm"]["scale"].at[1, ::2].set(-0.7)
    params["streams"]["bias"] += 0.1 * jnp.arange(16)
    windows = windows_of(np.asarray(maps), 4)
    padded = jnp.pad(train.astype(jnp.float32), ((0, 0), (0, 2)))

    def together(params):
        pools, norm = ststnet.pooled_folds(params, windows, padded)
        logits = ststnet.head_logits(params, pools, None)
        truth = jnp.stack([label, label])
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits[:, :6], truth)
        return jnp.sum(entropy * train), (logits[:, :6], norm)

    (_, (logits, norm)), gradient = jax.jit(jax.value_and_grad(together, has_aux=True))(params)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def alone(params, maps, truth):
        found, changed = ststnet.Streams(CLASSES, dropout=0.0).apply(
            {"params": params, STATISTICS: statistics}, maps, True, mutable=[STATISTICS]
        )
        entropy = optax.softmax_cross_entropy_with_integer_labels(found, truth)
        return jnp.sum(entropy), (found, changed[STATISTICS]["norm"])

    for fold, marks in enumerate(train):
        own = jax.tree.map(lambda x, fold=fold: x[fold], params)
        (_, (found, kept)), of_module = alone(own, maps[marks], label[marks])
        np.testing.assert_allclose(logits[fold, marks], found, atol=1e-4)
        # Running statistics take a tenth of the batch's.
        np.testing.assert_allclose(0.1 * norm["mean"][fold], kept["mean"], atol=1e-5)
        np.testing.assert_allclose(0.1 * norm["var"][fold] + 0.9, kept["var"], atol=1e-5)
        jax.tree.map(
            lambda x, y, fold=fold: np.testing.assert_allclose(x[fold], y, atol=1e-4),
            gradient,
            of_module,
        )
        of_training = {"norm": jax.tree.map(lambda x, fold=fold: x[fold], norm)}
        tested = jax.jit(tiny.logits)({"params": own, STATISTICS: of_training}, {"flow_maps": maps})
        np.testing.assert_allclose(logits[fold], tested, atol=1e-4)


def test_attention_to_one_token_is_none():
    """A layer of HTNet with queries and keys gives what it gives without them."""
    places = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 2, 6)))
    published, cheap = (htnet.Layer(2, 3, attention) for attention in (True, False))
    params = jax.jit(published.init)(jax.random.key(0), places)["params"]
    attended = jax.jit(published.apply)({"params": params}, places)
    kept = {name: part for name, part in params.items() if name not in ("query", "key")}
    found = jax.jit(cheap.apply)({"params": kept}, places)
    assert len(kept) == len(params) - 2
    np.testing.assert_allclose(found, attended, atol=1e-5)
    assert np.abs(found - places).max() > 0.1


def test_dropout_of_the_folds_keeps_a_half_and_differs():
    draw = jax.jit(ststnet.dropped, static_argnums=1)
    first, second = (np.asarray(draw(jax.random.key(seed), 50)) for seed in (0, 1))
    assert first.shape == (50, 100, 16)
    assert abs(np.mean(first) - 0.5) < 0.01 and abs(np.mean(first == second) - 0.5) < 0.01
    assert abs(np.mean(first[..., 0] == first[..., 1]) - 0.5) < 0.05


def test_routing_goes_where_capsules_agree():
    """Of two classes that are equally strong, the one whose capsules say the same is longer."""
    random = np.random.default_rng(0)
    said = random.normal(size=(1, 40, 2, 4))
    said[..., 0, :] = said[0, 0, 0]
    said /= np.linalg.norm(said, axis=-1, keepdims=True)
    lengths = np.linalg.norm(jax.jit(capsulenet.route)(said * 0.2), axis=-1)[0]
    assert lengths[0] > 0.9 and lengths[1] < 0.5
    np.testing.assert_allclose(capsulenet.squash(jnp.array([[0.0, 2.0]])), [[0, 0.8]], atol=1e-6)


def test_the_margin_loss_is_of_present_and_absent_classes():
    network = network_of("capsulenet")
    length = jnp.log(jnp.array([[0.99, 0.01, 0.01], [0.49, 0.01, 0.21]]))
    loss = [float(network.loss(length[i : i + 1], jnp.zeros(1, int), jnp.ones(1))) for i in (0, 1)]
    np.testing.assert_allclose(loss, [0.0, 0.5**2 + 0.5 * 0.2**2], atol=1e-6)


def test_capsules_are_those_of_224_pixels(tmp_path):
    network = network_of("capsulenet")
    frames = {"frames": jax.ShapeDtypeStruct((1, 2, 112, 112, 3), np.uint8)}
    found = jax.eval_shape(lambda x: network.init(jax.random.key(0), x), frames)
    assert found["params"]["kernel"].shape == (6 * 6 * 32, CLASSES, 8, 16)
    logits = jax.eval_shape(network.logits, found, frames)
    assert logits.shape == (1, CLASSES)
    with pytest.raises(UserError, match="side is 128; choose a multiple of 8 from 136 on"):
        network_of("capsulenet", options={"side": 128})
    (tmp_path / "other.safetensors").write_bytes(b"none")
    with pytest.raises(UserError, match="other.safetensors cannot be read"):
        network_of("capsulenet", options={"weights": str(tmp_path / "other.safetensors")})


def test_a_trunk_starts_from_the_tensors_of_torchvision(tmp_path):
    """Names and layouts are torchvision's; what a file holds arrives where it belongs."""
    random, shapes = np.random.default_rng(0), {"conv1": (64, 3, 7, 7), "fc": (1000, 512)}
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            before = width // 2 if stage > 1 and not block else width
            at = f"layer{stage}.{block}"
            shapes |= {f"{at}.conv1": (width, before, 3, 3), f"{at}.conv2": (width, width, 3, 3)}
            if before != width:
                shapes[f"{at}.downsample.0"] = (width, before, 1, 1)
    tensors = {f"{name}.weight": random.normal(size=x).astype("f4") for name, x in shapes.items()}
    for name, shape in shapes.items():
        norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        for part in ("weight", "bias", "running_mean", "running_var") if norm != name else ():
            tensors[f"{norm}.{part}"] = random.uniform(size=shape[0]).astype("f4")
    save_file(tensors, tmp_path / "resnet18.safetensors")
    trunk = network_of("capsulenet", options={"weights": str(tmp_path / "resnet18.safetensors")})
    found = trunk._trunk
    np.testing.assert_array_equal(
        found["params"]["layer3_0"]["conv1"]["kernel"][1, 2, 3, 4],
        tensors["layer3.0.conv1.weight"][4, 3, 1, 2],
    )
    np.testing.assert_array_equal(
        found[STATISTICS]["layer2_0"]["downsample_bn"]["mean"],
        tensors["layer2.0.downsample.1.running_mean"],
    )
    save_file({"conv1.weight": tensors["conv1.weight"]}, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match="holds no ResNet-18 of torchvision: its tensors differ"):
        network_of("capsulenet", options={"weights": str(tmp_path / "part.safetensors")})


def test_windows_are_convolutions_and_pools():
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype("f4")
    own, flax = Conv(3, 3, 1), nn.Conv(3, (3, 3), padding=1)
    params = jax.jit(own.init)(jax.random.key(0), images)
    found, expected = (jax.jit(conv.apply)(params, images) for conv in (own, flax))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    valid = jax.jit(Conv(3, 3).apply)(params, images)
    np.testing.assert_allclose(valid, expected[:, 1:-1, 1:-1], atol=1e-5)
    images -= 3.0  # so that a pool which pads with zeros is seen
    pools = jax.jit(max_pool, static_argnums=(1, 2, 3))(images, 3, 2, 1)
    around = ((1, 1), (1, 1))
    np.testing.assert_array_equal(pools, nn.max_pool(images, (3, 3), (2, 2), around))


def test_cells_of_rcn_cover_the_image_and_its_attention_is_where_classes_are_seen():
    columns = np.broadcast_to(np.arange(12.0)[None, None, :, None], (1, 12, 12, 1))
    cells = np.asarray(rcn.adaptive_mean(columns, 5)).reshape(5, 5)
    np.testing.assert_allclose(cells[0], [1.0, 3.0, 5.5, 8.0, 10.0], atol=1e-5)
    kernel = np.stack([np.eye(4)[:, :1], np.eye(4)[:, 1:2]], axis=-1)  # (4 places, 1, 2 classes)
    seen = rcn.class_activation(jnp.full((1, 4, 1), 3.0), kernel)
    np.testing.assert_allclose(seen, [[0.5, 0.5, 0.0, 0.0]], atol=1e-6)


CONFIGS = sorted(Path(__file__).parents[2].glob("configs/recognition/*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_network_has_a_config_of_its_name(path):
    config = load_config(path, [])
    assert config.recognition.network == path.stem and make_network(config).options is not None
    assert f"--config=configs/recognition/{path.name}" in path.read_text()

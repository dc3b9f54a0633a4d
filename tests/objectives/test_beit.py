"""BEiT and the tokenizer whose tokens it tells; SimMIM, which tells pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import fresh_state, step_of, tiny_config

from mubert_jax.bench.timed import noise_pairs
from mubert_jax.errors import UserError
from mubert_jax.models.vit import patchify, unpatchify
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.beit import rescaled
from mubert_jax.objectives.simmim import Options, masked_squares
from mubert_jax.objectives.vq_tokenizer import nearest, unit
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen

BATCH = {name: jnp.asarray(x) for name, x in noise_pairs(8, 32).items()}
TOKENIZER = tiny_config(
    objective__name="vq_tokenizer",
    objective__options={"codes": 32, "dim": 8, "width": 32, "blocks": 1},
    training__batch_size=8,
    optimizer__learning_rate=3e-3,
)


def of_colours(count: int) -> jax.Array:
    """Frames whose patches have one of four colours each, uint8."""
    random = np.random.default_rng(3)
    colours = np.array([[230, 20, 20], [20, 230, 20], [20, 20, 230], [128, 128, 128]])
    patches = colours[random.integers(0, 4, (count, 16))]
    return unpatchify(jnp.asarray(np.repeat(patches[:, :, None], 64, 2).reshape(count, 16, -1)), 8)


@pytest.fixture(scope="module")
def tokenizer():
    """Objective and state after a training on patches of four colours."""
    state, step = fresh_state(TOKENIZER), jax.jit(step_of(TOKENIZER, steps=1000))
    batch = BATCH | {"current": of_colours(8).astype(jnp.uint8)}
    rows = []
    for _ in range(60):
        state, metrics = step(state, batch)
        rows.append(metrics)
    return make_objective(TOKENIZER), state, rows


@pytest.fixture(scope="module")
def run(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    _, state, _ = tokenizer
    save_imported(folder, TOKENIZER, Weights(state.params, state.extra), "a test", Seen())
    return folder


def test_the_tokenizer_learns_to_tell_the_pixels(tokenizer):
    _, _, rows = tokenizer
    assert rows[-1]["reconstruction"] < 0.5 * rows[0]["reconstruction"]


def test_patches_that_look_alike_have_one_token(tokenizer):
    objective, state, _ = tokenizer
    images = (of_colours(1) - 128.0) / 60
    flat = jnp.broadcast_to(images[:, :8, :8], (1, 4, 8, 4, 8, 3)[:1] + (8, 8, 3))
    images = jnp.tile(flat, (1, 4, 4, 1))
    read = objective.reads(state.params, state.extra)
    tokens = np.asarray(objective.tokens(read, images)).reshape(4, 4)
    assert len(set(tokens[1:-1, 1:-1].ravel())) == 1  # those whose neighbours are alike, too
    assert tokens.dtype == np.int32


def test_a_code_that_nobody_uses_is_given_up_for_a_patch(tokenizer):
    objective, state, _ = tokenizer
    codes = unit(jnp.eye(32, 8) + 0.01)
    extra = {"codes": codes, "used": jnp.full(32, 1 / 32).at[5].set(1e-6), "sums": codes / 32}
    patches = unit(jax.random.normal(jax.random.key(0), (32, 8)))
    seen = {"used": extra["used"], "sums": extra["sums"], "patches": patches}
    new = objective.after_update({}, extra, seen, jnp.float32(0))
    np.testing.assert_allclose(new["codes"][5], patches[5], atol=1e-5)
    kept = np.arange(32) != 5
    np.testing.assert_allclose(new["codes"][kept], codes[kept], atol=1e-5)
    np.testing.assert_allclose(new["used"][5], 1 / 32)


def test_a_token_is_the_code_of_the_largest_cosine():
    codes = unit(jax.random.normal(jax.random.key(0), (7, 4)))
    assert nearest(3.0 * codes[None, jnp.array([4, 0, 6])], codes).tolist() == [[4, 0, 6]]


def beit(run, **overrides):
    options = {"tokenizer": str(run), "min_block": 2}
    return tiny_config(
        objective__name="beit",
        objective__options=options,
        training__batch_size=8,
        optimizer__learning_rate=3e-3,
        **overrides,
    )


def test_a_deeper_block_starts_to_add_less():
    def kernels(*sides):
        return {"kernel": np.full(sides, 6.0), "bias": np.ones(sides[-1])}

    block = {
        "attn": {"qkv": kernels(2, 6), "proj": kernels(2, 2)},
        "mlp": {"fc1": kernels(2, 8), "fc2": kernels(8, 2)},
    }
    found = rescaled({"blocks_0": block, "blocks_1": block, "norm": {"scale": np.ones(2)}})
    for name, factor in (("blocks_0", 2**0.5), ("blocks_1", 2.0)):
        smaller = found[name]["attn"]["proj"], found[name]["mlp"]["fc2"]
        assert all((layer["kernel"] == 6 / factor).all() for layer in smaller)
        assert all((layer["bias"] == 1).all() for layer in smaller)
        assert (found[name]["attn"]["qkv"]["kernel"] == 6).all()
        assert (found[name]["mlp"]["fc1"]["kernel"] == 6).all()
    assert (block["attn"]["proj"]["kernel"] == 6).all(), "nothing is changed in place"


def test_beit_learns_to_tell_the_tokens_of_masked_patches(run):
    config = beit(run)
    state, step, rows = fresh_state(config), jax.jit(step_of(config, steps=1000)), []
    batch = BATCH | {"current": jnp.tile(of_colours(1).astype(jnp.uint8), (8, 1, 1, 1))}
    for _ in range(40):
        state, metrics = step(state, batch)
        rows.append(metrics)
    assert rows[-1]["tokens"] < 0.5 * rows[0]["tokens"]
    assert rows[-1]["accuracy"] > 0.8
    first = fresh_state(config).extra["tokenizer"]
    jax.tree.map(np.testing.assert_array_equal, state.extra["tokenizer"], first)


def test_beit_scores_masked_patches_alone_and_does_not_read_them(run):
    objective, state = make_objective(beit(run)), fresh_state(beit(run))
    views = jax.jit(objective.views)(jax.random.key(1), BATCH)
    share = np.asarray(views.masked).mean()
    assert 0.3 < share < 0.6 and len({x.tobytes() for x in np.asarray(views.masked)}) > 4
    encoder, masked = objective.encoder.bind({"params": state.params["encoder"]}), views.masked
    noise = jax.random.normal(jax.random.key(2), views.images.shape)
    other = unpatchify(
        jnp.where(masked[..., None], patchify(noise, 8), patchify(views.images, 8)), 8
    )
    read = jax.jit(lambda images: encoder(images, masked_BxN=masked).tokens)
    np.testing.assert_allclose(read(other), read(views.images), atol=1e-5)
    loss, (metrics, _) = jax.jit(objective.loss)(state.params, state.extra, views, jnp.float32(0))
    logits = objective.head.apply({"params": state.params["head"]}, read(views.images))
    tokens = objective.tokenizer.tokens(state.extra["tokenizer"], views.images)
    every = optax.losses.softmax_cross_entropy_with_integer_labels(logits, tokens)
    np.testing.assert_allclose(loss, np.asarray(every)[np.asarray(masked)].mean(), rtol=1e-4)
    assert metrics["tokens"] == loss


@pytest.mark.parametrize(
    "overrides, options, said",
    [
        ({}, {"tokenizer": ""}, "tokenizer is empty; give a run of mubert pretrain"),
        (
            {"model__patch_size": 4, "swapping__min_block": 2},
            {},
            "has patches of 8 pixels, config.model.patch_size is 4",
        ),
    ],
)
def test_beit_without_a_tokenizer_that_fits_says_so(run, overrides, options, said):
    options = {"tokenizer": str(run), "min_block": 2} | options
    config = tiny_config(objective__name="beit", objective__options=options, **overrides)
    with pytest.raises(UserError, match=said):
        fresh_state(config)


def test_a_recognizer_needs_no_tokenizer(run):
    moved = tiny_config(
        objective__name="beit", objective__options={"tokenizer": f"{run}/moved", "min_block": 2}
    )
    params, images = fresh_state(beit(run)).params, jnp.zeros((1, 32, 32, 3))
    assert make_objective(moved).encode(params, {}, images).shape == (1, 16, 32)


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("beit", {"mask_ratio": 1.5, "min_block": 2}, "mask_ratio 1.5 must be between 0 and 1"),
        ("beit", {"min_block": 16}, "min_block 16 between 1 and the patches that are masked, 6"),
        ("simmim", {"side": 0}, "side 0 between 1 and the 4 patches of a side"),
        ("mae", {"mask_ratio": 1.0}, "mask_ratio is 1.0; it must be between 0 and 1"),
        ("moco_v3", {"temperature": 0.0}, "temperature, hidden and output must be positive"),
        ("vq_tokenizer", {"codes": 0}, "options.codes must be 1 or more"),
    ],
)
def test_options_out_of_range_are_refused(name, options, said):
    with pytest.raises(UserError, match=said):
        make_objective(tiny_config(objective__name=name, objective__options=options))


def test_the_codebook_is_made_of_whole_batches():
    parts = {"training__batch_size": 8, "training__micro_batches": 2}
    with pytest.raises(UserError, match="micro_batches is 2: the codebook is made of whole"):
        make_objective(tiny_config(objective__name="vq_tokenizer", **parts))


def test_a_run_of_another_objective_is_no_tokenizer(tmp_path):
    state = fresh_state(tiny_config())
    save_imported(tmp_path, tiny_config(), Weights(state.params), "a test", Seen())
    with pytest.raises(UserError, match="is a run of 'micron_bert'"):
        make_objective(beit(tmp_path)).from_disk()


def test_simmim_masks_whole_squares():
    masks = [
        np.asarray(masked_squares(jax.random.key(i), 14, Options())).reshape(14, 14)
        for i in range(3)
    ]
    for mask in masks:
        coarse = mask[::4, ::4]
        np.testing.assert_array_equal(mask, coarse.repeat(4, 0).repeat(4, 1)[:14, :14])
        assert coarse.sum() == 10
    assert (masks[0] != masks[1]).any()


def test_simmim_scores_masked_patches_alone():
    config = tiny_config(objective__name="simmim", objective__options={"side": 2})
    objective, state = make_objective(config), fresh_state(config)
    views = jax.jit(objective.views)(jax.random.key(1), BATCH)
    assert np.asarray(views.masked).sum(1).tolist() == [8] * 8
    loss, _ = jax.jit(objective.loss)(state.params, {}, views, jnp.float32(0))

    def told(images):
        encoder = objective.encoder.bind({"params": state.params["encoder"]})
        tokens = encoder(images, masked_BxN=views.masked).tokens
        return objective.decoder.apply({"params": state.params["decoder"]}, tokens)

    error = np.abs(np.asarray(jax.jit(told)(views.images)) - patchify(views.images, 8)).mean(-1)
    np.testing.assert_allclose(loss, error[np.asarray(views.masked)].mean(), rtol=1e-4)

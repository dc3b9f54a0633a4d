"""Attention on GPUs and TPUs, as far as a CPU can tell: padded tokens are masked, on any mesh."""

import functools
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config, write_config_file
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mubert_jax.bench.collectives import collectives_of
from mubert_jax.cli import main
from mubert_jax.config import DecoderConfig, ModelConfig
from mubert_jax.config_files import load_config
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.attention import attend, fused, padded_length, splash, split_over
from mubert_jax.models.device import check_attention, for_any_device, settled
from mubert_jax.models.micron_bert import MicronBert, build_model, init_params
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.sharding import AXES, on_mesh

CONFIGS = sorted(Path(__file__).parents[2].glob("configs/**/*.py"))
H100 = SimpleNamespace(platform="gpu", device_kind="NVIDIA H100", compute_capability="9.0")
T4 = SimpleNamespace(platform="gpu", device_kind="Tesla T4", compute_capability="7.5")
RADEON = SimpleNamespace(platform="gpu", device_kind="MI250X", compute_capability="gfx90a")
TPU = SimpleNamespace(platform="tpu", device_kind="TPU v5 lite")
CPU = jax.devices("cpu")[0]


def random_qkv(length, heads=2, size=8, dtype=jnp.float32):
    numbers = np.random.default_rng(length).normal(size=(3, 2, length, heads, size))
    return jnp.asarray(numbers, dtype)


def value_and_gradients(attention, qkv, dtype=jnp.float32):
    """Of a sum that weighs every number of the output differently."""

    def loss(*qkv):
        out = attention(*qkv).astype(dtype)
        return jnp.sum(jnp.sin(3 * out)), out

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (_, out), gradients = both(*qkv)
    return [np.asarray(x, np.float32) for x in (out, *gradients)]


def padded(attention, implementation):
    """As `SelfAttention` calls it: padded with what is not 0, and cut again."""

    def attend(*qkv):
        length = qkv[0].shape[1]
        rest = padded_length(length, implementation) - length
        widths = ((0, 0), (0, rest), (0, 0), (0, 0))
        qkv = [jnp.pad(x, widths, constant_values=3) for x in qkv]
        return attention(*qkv, length)[:, :length]

    return attend


even = padded(functools.partial(fused, implementation="xla"), "cudnn")
on_lanes = padded(functools.partial(splash, interpret=True), "splash")
WAYS = pytest.mark.parametrize("attention", [even, on_lanes], ids=["even", "splash"])


def explicit(*qkv):
    return attend(*qkv, "explicit")


@pytest.mark.parametrize(
    "length, implementation, padded",
    [
        (785, "explicit", 785),
        (785, "xla", 785),
        (785, "cudnn", 786),
        (784, "cudnn", 784),
        (785, "splash", 896),
        (128, "splash", 128),
        (129, "splash", 256),
        (1024, "splash", 1024),
        (3137, "splash", 3584),
    ],
)
def test_the_least_length_that_an_implementation_takes(length, implementation, padded):
    assert padded_length(length, implementation) == padded


@WAYS
@pytest.mark.parametrize("length", [1, 37])
def test_padding_changes_neither_outputs_nor_gradients(attention, length):
    qkv = random_qkv(length)
    found, wanted = (value_and_gradients(a, qkv) for a in (attention, explicit))
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == (2, length, 2, 8)
        np.testing.assert_allclose(a, b, atol=2e-6)


@WAYS
def test_the_papers_785_tokens_in_bfloat16(attention):
    qkv = random_qkv(785, size=128, dtype=jnp.bfloat16)
    found, wanted = (value_and_gradients(a, qkv) for a in (attention, explicit))
    for a, b in zip(found, wanted, strict=True):
        # bfloat16 has 8 binary digits: the last of the largest number, on either side.
        np.testing.assert_allclose(a, b, atol=2 * 2**-8 * np.abs(b).max())


def test_more_tokens_than_fit_a_block_come_in_several():
    qkv = random_qkv(1030, heads=1)
    np.testing.assert_allclose(on_lanes(*qkv), explicit(*qkv), atol=2e-6)


def test_on_a_tpu_splash_is_a_kernel():
    qkv = [jax.ShapeDtypeStruct((2, 128, 2, 128), jnp.bfloat16)] * 3
    traced = jax.jit(lambda *qkv: attend(*qkv, "splash")).trace(*qkv)
    assert "tpu_custom_call" in traced.lower(lowering_platforms=("tpu",)).as_text()


def test_on_a_mesh_each_device_attends_to_its_own_images_and_heads():
    mesh = jax.make_mesh((2, 1, 2), AXES, axis_types=(AxisType.Auto,) * 3)
    place = NamedSharding(mesh, split_over(mesh, heads=2))
    assert place.spec == PartitionSpec(("data", "fsdp"), None, "tensor", None)
    assert split_over(mesh, heads=3) == PartitionSpec(("data", "fsdp"), None, None, None)
    qkv = random_qkv(37)

    def gradients(*qkv):
        return jax.grad(lambda *qkv: jnp.sum(jnp.sin(3 * on_lanes(*qkv))), argnums=(0, 1, 2))(*qkv)

    program = jax.jit(on_mesh(gradients, mesh), in_shardings=(place,) * 3).lower(*qkv).compile()
    assert not collectives_of(program.as_text())
    wanted = value_and_gradients(explicit, qkv)[1:]
    for a, b in zip(program(*jax.device_put(list(qkv), place)), wanted, strict=True):
        assert a.sharding.is_equivalent_to(place, 4)
        np.testing.assert_allclose(a, b, atol=2e-6)


@WAYS
def test_the_masked_row_leaves_no_nan_and_takes_no_share(attention):
    """Logits far below zero would lose their softmax to a padded key, whose logit is near 0."""
    q, _, v = random_qkv(9)
    q = jnp.abs(q) + 1
    qkv = q, -30 * q, v
    found, wanted = (value_and_gradients(a, qkv) for a in (attention, explicit))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@WAYS
def test_several_models_side_by_side_are_padded_alike(attention):
    qkv = jnp.stack([random_qkv(5), random_qkv(7)[:, :, :5]], axis=1)
    found, wanted = (jax.jit(jax.vmap(way))(*qkv) for way in (attention, explicit))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.fixture
def cudnn_calls(monkeypatch):
    """Lets JAX trace cuDNN's attention, whose library is not here; (L, d, differentiated)."""
    calls = set()
    check = cudnn.check_is_flash_attention

    def checked(query, key, value, layout, version, has_bias, is_training, *rest):
        check(query, key, value, layout, version, has_bias, is_training, *rest)
        calls.add((query.shape[1], query.shape[3], is_training))

    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_is_flash_attention", checked)
    return calls


def shapes_of(config):
    """(L, h, d) of all attention in a config's step: encoder (N + 1), local crops, decoder (N)."""
    model = config.model
    sides = {model.image_size}
    if config.loss.agreement == "dino":
        sides.add(config.loss.crop.local_size)
    for side in sides:
        yield (side // model.patch_size) ** 2 + 1, model.heads, model.dim // model.heads
    decoder = model.decoder
    yield model.num_patches, decoder.heads, decoder.dim // decoder.heads


def test_jax_takes_cudnn_for_every_length_of_every_config(cudnn_calls):
    configs = [load_config(str(path), []) for path in CONFIGS]
    shapes = {shape for config in configs for shape in shapes_of(config)}
    assert {(785, 4, 128), (784, 4, 128), (145, 4, 128), (197, 4, 32)} <= shapes
    for length, heads, size in shapes:
        taken = padded_length(length, "cudnn")
        qkv = [jax.ShapeDtypeStruct((2, taken, heads, size), jnp.bfloat16)] * 3

        def total(*qkv, length=length):
            return jnp.sum(attend(*qkv, "cudnn", length)).astype(float)

        jax.eval_shape(jax.grad(total), *qkv)
    even = {(length + length % 2, size) for length, _, size in shapes}
    assert cudnn_calls == {(length, size, True) for length, size in even}


def test_a_model_attends_at_the_lengths_that_are_checked(cudnn_calls):
    config = tiny_config(model__attention="cudnn", model__dtype="bfloat16")
    model, side = MicronBert(config.model), config.model.image_size
    frames, crops = (jnp.zeros((1, side, side, 3)) for side in (side, config.loss.crop.local_size))

    def step():
        variables = model.init(jax.random.key(0), frames, method=MicronBert.initialise)
        model.apply(variables, crops, method="encode")

    jax.eval_shape(step)
    lengths = {length + length % 2 for length, _, _ in shapes_of(config)}
    assert {length for length, _, _ in cudnn_calls} == lengths


def test_folds_side_by_side_pass_jaxs_cudnn(cudnn_calls):
    qkv = jnp.zeros((3, 4, 2, 10, 2, 8), jnp.bfloat16)

    def loss(*qkv):
        return jnp.sum(jnp.sin(attend(*qkv, "cudnn", 9).astype(jnp.float32)))

    looked = jax.eval_shape(jax.vmap(lambda *qkv: attend(*qkv, "cudnn", 9)), *qkv)
    gradients = jax.eval_shape(jax.vmap(jax.grad(loss, argnums=(0, 1, 2))), *qkv)
    assert [x.shape for x in (looked, *gradients)] == [(4, 2, 10, 2, 8)] * 4


@pytest.mark.parametrize(
    "device, overrides, attention, dtype",
    [
        (CPU, {}, "explicit", "float32"),
        (CPU, {"dtype": "bfloat16"}, "explicit", "bfloat16"),
        (TPU, {}, "splash", "bfloat16"),
        (TPU, {"dtype": "float32"}, "splash", "float32"),
        (H100, {}, "cudnn", "bfloat16"),
        (H100, {"dtype": "float32"}, "xla", "float32"),
        (H100, {"dim": 48, "heads": 4}, "xla", "bfloat16"),
        (H100, {"decoder": DecoderConfig(dim=512, heads=2)}, "xla", "bfloat16"),
        (T4, {}, "xla", "bfloat16"),
        (RADEON, {}, "xla", "bfloat16"),
        (H100, {"attention": "mapped"}, "mapped", "bfloat16"),
        (CPU, {"attention": "xla"}, "xla", "float32"),
    ],
)
def test_what_auto_takes(device, overrides, attention, dtype):
    config = settled(ModelConfig(**overrides), device)
    assert (config.attention, config.dtype) == (attention, dtype)
    assert settled(config, device) == config


@pytest.mark.parametrize(
    "device, overrides, words",
    [
        (CPU, {}, "NVIDIA"),
        (TPU, {}, "TPU v5 lite"),
        (T4, {}, "Ampere"),
        (H100, {"dtype": "float32"}, "config.model.dtype is float32"),
        (H100, {"dim": 48, "heads": 4}, "config.model.heads=4 makes 12"),
        (H100, {"decoder": DecoderConfig(dim=512, heads=2)}, "config.model.decoder.heads=2"),
    ],
)
def test_cudnn_that_was_asked_for_in_vain_is_one_line(device, overrides, words):
    with pytest.raises(UserError) as refused:
        check_attention(ModelConfig(attention="cudnn", **overrides), device)
    line = str(refused.value)
    assert words in line and "config.model.attention=auto" in line and "\n" not in line
    check_attention(ModelConfig(attention="cudnn"), H100)
    check_attention(ModelConfig(**overrides), device)


def test_splash_elsewhere_than_on_a_tpu_is_one_line():
    for device in (CPU, H100):
        with pytest.raises(UserError, match=f"for TPUs, and JAX computes on {device.device_kind}"):
            check_attention(ModelConfig(attention="splash"), device)
    check_attention(ModelConfig(attention="splash"), TPU)


@pytest.mark.parametrize("attention", ["cudnn", "splash"])
def test_weights_trained_with_a_devices_own_attention_open_without_it(attention):
    config = tiny_config(model__attention=attention).model
    assert for_any_device(config).attention == "auto"
    kept = tiny_config(model__attention="mapped").model
    assert for_any_device(kept) == kept


def test_pretraining_with_cudnn_on_a_cpu_ends_before_anything_is_written(
    tmp_path, frames_set, capsys
):
    config = write_config_file(tmp_path / "config.py", tiny_config())
    arguments = [f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    arguments += [f"--config.data.path={frames_set}", "--config.model.attention=cudnn"]
    capsys.readouterr()
    assert main(["pretrain", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "config.model.attention=cudnn" in error
    assert not (tmp_path / "run").exists()


def test_a_run_of_a_gpu_opens_on_a_cpu(tmp_path):
    config = tiny_config(model__attention="cudnn", loss__agreement="none")
    model = build_model(tiny_config(loss__agreement="none"))
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))
    save_imported(tmp_path, config, Weights(params()), "a GPU")
    trained = open_trained(str(tmp_path))
    variables, frames = {"params": trained.params}, jnp.zeros((1, 32, 32, 3))
    jax.eval_shape(lambda: trained.model.apply(variables, frames, method="encode"))

"""DALL-E's encoder: read from a pickled module without running it, and BEiT's tokenizer then."""

import collections
import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from conftest import fresh_state, tiny_config
from examples import assert_close, assert_identical
from numpy.random import default_rng
from rich.console import Console
from test_import import refused, run_import
from torch import nn

from mubert_jax.bench.timed import TimedStep, noise_pairs, resized
from mubert_jax.cli import main
from mubert_jax.interop.pickled_values import PickledModule
from mubert_jax.models import dalle
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.objectives import make_objective
from mubert_jax.pretraining.initial import InitFrom
from mubert_jax.training.checkpoints import Weights, load_weights, save_imported
from mubert_jax.training.contamination import Seen

WIDTH, VOCABULARY = 16, 24
SIZES = dalle.Sizes(width=WIDTH, vocabulary=VOCABULARY)


class Conv2d(nn.Module):
    def __init__(self, read, width, side):
        super().__init__()
        self.w = nn.Parameter(torch.randn(width, read, side, side) / (read * side**2) ** 0.5)
        self.b = nn.Parameter(0.1 * torch.randn(width))
        self.device, self.use_float16 = torch.device("cpu"), True

    def forward(self, x):
        return nn.functional.conv2d(x, self.w, self.b, padding=self.w.shape[-1] // 2)


class EncoderBlock(nn.Module):
    def __init__(self, read, width):
        super().__init__()
        inner, layers = width // 4, collections.OrderedDict()
        for i, (a, b, side) in enumerate(
            [(read, inner, 3), (inner, inner, 3), (inner, inner, 3), (inner, width, 1)], 1
        ):
            layers[f"relu_{i}"], layers[f"conv_{i}"] = nn.ReLU(), Conv2d(a, b, side)
        self.id_path = nn.Identity() if read == width else Conv2d(read, width, 1)
        self.res_path = nn.Sequential(layers)

    def forward(self, x):
        return self.id_path(x) + self.res_path(x) / 64


class Encoder(nn.Module):
    """With the names of DALL-E's, and an eighth of its width or less."""

    def __init__(self):
        super().__init__()
        parts, read = collections.OrderedDict(input=Conv2d(3, WIDTH, 7)), WIDTH
        for group in range(4):
            width, blocks = WIDTH * 2**group, collections.OrderedDict()
            for i in (1, 2):
                blocks[f"block_{i}"], read = EncoderBlock(read, width), width
            if group < 3:
                blocks["pool"] = nn.MaxPool2d(2)
            parts[f"group_{group + 1}"] = nn.Sequential(blocks)
        last = collections.OrderedDict(relu=nn.ReLU(), conv=Conv2d(read, VOCABULARY, 1))
        self.blocks = nn.Sequential(collections.OrderedDict(parts, output=nn.Sequential(last)))
        self.requires_grad_(False)

    def forward(self, x):
        return self.blocks(x)


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """The module, and its file: pickled whole, by classes of a package that is not installed."""
    torch.manual_seed(0)
    encoder, path = Encoder(), tmp_path_factory.mktemp("dalle") / "encoder.pkl"
    names = {"dall_e.encoder": (Encoder, EncoderBlock), "dall_e.utils": (Conv2d,)}
    packages = {name: types.ModuleType(name) for name in ("dall_e", *names)}
    for name, kinds in names.items():
        for kind in kinds:
            kind.__module__ = name
            setattr(packages[name], kind.__name__, kind)
    with pytest.MonkeyPatch.context() as patch:
        for name, package in packages.items():
            patch.setitem(sys.modules, name, package)
        torch.save(encoder, path)
    return encoder, path


@pytest.fixture(scope="module")
def run(distributed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dalle")
    assert run_import(folder, distributed[1], "--config.model.image_size=32") == 0
    return folder / "run"


def test_the_distributed_module_becomes_a_run_that_computes_the_same(distributed, run):
    encoder, _ = distributed
    assert "dall_e" not in sys.modules
    config, weights = load_weights(run)
    objective = make_objective(config)
    assert config.objective.name == "dalle_tokenizer" and objective.vocabulary == VOCABULARY
    pixels = default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    pixels[:, :16] = pixels[:, :1]  # stripes
    with torch.no_grad():
        logits = encoder(torch.tensor(0.8 * pixels.transpose(0, 3, 1, 2) + 0.1)).numpy()
    images = (pixels - IMAGENET_MEAN) / IMAGENET_STD

    @jax.jit
    def both(params, images):
        read = objective.reads(params, {})
        return objective.encode(params, {}, images), objective.tokens(read, images)

    found, tokens = both(weights.params, images)
    assert_close(found, logits.reshape(2, VOCABULARY, 16).transpose(0, 2, 1))
    np.testing.assert_array_equal(tokens, logits.argmax(1).reshape(2, 16))
    assert len(np.unique(tokens)) > 1


def beit(run):
    options = {"tokenizer": str(run), "min_block": 2}
    return tiny_config(objective__name="beit", objective__options=options, model__depth=1)


def test_beit_keeps_the_encoder_and_no_compiled_function_reads_it(run, monkeypatch):
    objective, weights = make_objective(beit(run)), load_weights(run)[1]
    kept = objective.from_disk()["tokenizer"]
    jax.tree.map(np.testing.assert_array_equal, kept["encoder"], weights.params["encoder"])
    monkeypatch.setattr("mubert_jax.objectives.beit.load_weights", None)
    # The head's size is that of a tokenizer whose config is read while this is compiled.
    fresh = make_objective(beit(run))
    shapes = jax.eval_shape(fresh.init, jax.random.key(0))
    assert shapes["head"]["kernel"].shape == (32, VOCABULARY)
    assert fresh.extra(shapes) == {} and fresh.flops_per_pair() > dalle.flops(SIZES, 32)


def test_an_export_of_beit_is_imported_again_and_does_not_tell_where_its_tokenizer_was(
    run, tmp_path, capsys
):
    shapes, random = (
        jax.eval_shape(make_objective(beit(run)).init, jax.random.key(0)),
        default_rng(0),
    )
    params = jax.tree.map(lambda x: random.normal(size=x.shape).astype(np.float32), shapes)
    save_imported(tmp_path / "beit", beit(run), Weights(params), "a test", Seen())
    output = tmp_path / "beit.safetensors"
    command = ["export", f"--checkpoint={tmp_path / 'beit'}", "--format=safetensors"]
    assert main([*command, f"--output={output}"]) == 0
    assert "left out: encoder/mask_token, head" in capsys.readouterr().out
    assert str(run).encode() not in output.read_bytes()
    assert run_import(tmp_path, output) == 0
    assert "d 32, 1 blocks, 2 heads, patch 8, for images of 32" in capsys.readouterr().out
    _, again = load_weights(tmp_path / "run")
    for name in ("blocks_0", "norm", "patch_embed"):
        assert_identical(again.params["encoder"][name], params["encoder"][name])


@pytest.mark.slow
def test_a_run_on_two_devices_has_the_encoder_on_both_and_leaves_it_as_it_is(run):
    timed = TimedStep(resized(beit(run), 4, mesh=(2, 1, 1)))
    expected = load_weights(run)[1].params["encoder"]
    for _ in range(2):
        kept = timed.state.extra["tokenizer"]["encoder"]
        assert len(kept["input"]["kernel"].sharding.device_set) == 2
        jax.tree.map(np.testing.assert_array_equal, kept, expected)
        timed()


@pytest.mark.slow
def test_beit_that_starts_from_another_run_has_the_tokenizer_that_was_asked_for(run, tmp_path):
    config = beit(run)
    other = fresh_state(config)
    extra = jax.tree.map(lambda x: x + 1, other.extra)
    save_imported(tmp_path, config, Weights(other.params, extra), "a test", Seen())
    training = dataclasses.replace(config.training, init_from=str(tmp_path))
    config = dataclasses.replace(config, training=training)
    initial = InitFrom(make_objective(config), config, Console(quiet=True))
    state = initial.state(fresh_state(config))
    jax.tree.map(np.testing.assert_array_equal, state.extra, other.extra)


@pytest.mark.slow
def test_beit_predicts_its_tokens(run):
    objective, state = make_objective(beit(run)), fresh_state(beit(run))
    batch = {name: jnp.asarray(x) for name, x in noise_pairs(4, 32).items()}

    def loss(params, batch):
        views = objective.views(jax.random.key(1), batch)
        return objective.loss(params, state.extra, views, jnp.float32(0))[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(state.params, batch)
    assert abs(value - np.log(VOCABULARY)) < 1.5
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_the_distributed_sizes_give_28_by_28_tokens_of_8192():
    sizes = dalle.Sizes()
    encoder, images = dalle.Encoder(sizes), jnp.zeros((1, 224, 224, 3))
    logits, variables = jax.eval_shape(encoder.init_with_output, jax.random.key(0), images)
    params = variables["params"]
    assert jax.eval_shape(dalle.tokens, logits).shape == (1, 784)
    assert params["group_4_block_1"]["id_path"]["kernel"].shape == (1, 1, 1024, 2048)
    assert params["output"]["kernel"].shape == (1, 1, 2048, 8192)
    # Two FLOPs per number of a kernel and place; max-pools halve the sides of groups 2 to 4.
    sides = {"input": 224, "output": 28} | {f"group_{i + 1}": 224 // 2**i for i in range(4)}
    counted = sum(
        2
        * np.prod(leaf.shape)
        * next(n for name, n in sides.items() if path[0].key.startswith(name)) ** 2
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if len(leaf.shape) == 4
    )
    assert dalle.flops(sizes, 224) == counted


class Runs:
    """What a hostile module may hold."""

    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


def in_itself():
    module = nn.Sequential()
    module._modules["inner"] = nn.Sequential(module)
    return module


def with_what_runs():
    module = nn.Sequential(nn.ReLU())
    module[0].attribute = Runs()
    return module


@pytest.mark.parametrize(
    "module, said",
    [
        (with_what_runs, "refused: opening it would run or build exec"),
        (
            lambda: nn.Linear(2, 2),
            "refused: opening it would run or build torch.nn.modules.linear.L",
        ),
        (in_itself, "holds a PyTorch module that cannot be: the module 'inner.0' is in two places"),
        (lambda: nn.Sequential(nn.ReLU()), "holds no state dict"),
    ],
)
def test_a_module_of_another_kind_is_refused_and_nothing_runs(
    tmp_path, monkeypatch, capsys, module, said
):
    monkeypatch.chdir(tmp_path)
    torch.save(module(), tmp_path / "encoder.pkl")
    assert said in refused(capsys, tmp_path, tmp_path / "encoder.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_module_in_pytorchs_old_format_is_refused_with_what_to_do(tmp_path, capsys):
    path = tmp_path / "encoder.pkl"
    torch.save(nn.Sequential(nn.ReLU()), path, _use_new_zipfile_serialization=False)
    said = refused(capsys, tmp_path, path)
    assert "a whole module in the format of PyTorch before 1.6" in said and "state_dict()" in said


def test_an_encoder_that_is_not_whole_is_refused(distributed, tmp_path, capsys):
    tensors = distributed[0].state_dict()
    del tensors["blocks.group_2.block_1.id_path.b"]
    torch.save(tensors, tmp_path / "encoder.pth")
    said = refused(capsys, tmp_path, tmp_path / "encoder.pth")
    assert "no whole encoder of DALL-E: 'blocks.group_2.block_1.id_path.b'" in said
    tensors = distributed[0].state_dict()
    for leaf in ("w", "b"):
        del tensors[f"blocks.group_2.block_2.res_path.conv_2.{leaf}"]
    torch.save(tensors, tmp_path / "encoder.pth")
    assert "its tensors have other shapes" in refused(capsys, tmp_path, tmp_path / "encoder.pth")
    tensors = {name: x.clone() for name, x in distributed[0].state_dict().items()}
    tensors["blocks.input.b"][3] = float("nan")
    torch.save(tensors, tmp_path / "encoder.pth")
    assert "holds NaN or infinity" in refused(capsys, tmp_path, tmp_path / "encoder.pth")
    flag = "--config.objective.options.width=6"
    said = refused(capsys, tmp_path, distributed[1], flag)
    assert "width a multiple of 4; they are 6, 4, 2 and 24" in said


def test_a_stand_in_takes_whatever_a_pickle_gives_it():
    module = PickledModule(1, 2)
    assert module.tensors() == {}
    module.__setstate__([])
    assert module.tensors() == {}
    module.__setstate__({"_buffers": {"b": 3, "none": None}, "_parameters": 7})
    assert module.tensors() == {"b": 3}

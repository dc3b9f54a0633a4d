"""Every config's programs compile for an H100 and for eight v5e, none of which is here.

bash launch/test.sh -m aot        (its own environment, .venv-aot: CUDA's libraries and libtpu)

A program that compiles has not run: XLA looks for cuDNN's and cuBLAS' kernels on the GPU itself.
"""

import dataclasses
import re
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import SingleDeviceSharding

from mubert_jax.bench.chips import chip_of, devices_of
from mubert_jax.bench.pod import lowered_step
from mubert_jax.config_files import load_config
from mubert_jax.interop import stablehlo_file
from mubert_jax.models.device import settled
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.perception.maps import Perceiver
from mubert_jax.recognition import finetune, inputs, linear_probe, network
from mubert_jax.recognition.backbone import Backbone, features
from mubert_jax.recognition.inputs import FRAMES
from mubert_jax.recognition.networks import make_network
from mubert_jax.training.checkpoints import Weights

pytestmark = pytest.mark.aot

# What every program is compiled for.
TARGETS = ("h100:1x1x1", "v5e:2x4")
CONFIGS = Path(__file__).parents[2] / "configs"
RECOGNITION = ("finetune", "finetune_full")
PRETRAINING = sorted(
    str(path.relative_to(CONFIGS).with_suffix(""))
    for path in CONFIGS.glob("**/*.py")
    if path.stem not in RECOGNITION
)
# The size of the weights in the package, and the paper's.
BACKBONES = ("synthetic", "pretrain")
PAIRS_PER_CHIP = 2
CLASSES = 5
CLIPS = 6


@pytest.fixture(params=TARGETS)
def target(request):
    return request.param


def on(device, tree):
    """Arrays of a tree as shapes on one device; what is no array stays."""
    place = SingleDeviceSharding(device)
    return jax.tree.map(
        lambda x: (
            jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place) if hasattr(x, "shape") else x
        ),
        tree,
    )


def compiled(target, lowered):
    """The text of the program of a `jax.stages.Lowered`, and what is to be said of it."""
    chip, started = chip_of(target), time.perf_counter()
    program = lowered.compile(compiler_options=chip.options)
    seconds = time.perf_counter() - started
    plan = program.memory_analysis()
    held = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    assert held < chip.memory, f"{held / 1e9:.1f} GB do not fit {target}"
    said = f"{seconds:6.1f} s, temporaries {plan.temp_size_in_bytes / 1e9:6.3f} GB per chip"
    return program.as_text(), said


@pytest.fixture
def text_of(target, capsys):
    """(name, lowered) -> the text of its program for `target`; prints what compiling took."""

    def compile(name, lowered):
        text, said = compiled(target, lowered)
        with capsys.disabled():
            print(f"\n{target:10}  {name:34}  {said}", end="", flush=True)
        return text

    return compile


def load(name, *overrides):
    return load_config(str(CONFIGS / f"{name}.py"), list(overrides))


def few_pairs(name, devices, *overrides):
    """A config with few pairs per chip, on its own mesh if that fits."""
    config = load(name, f"--config.training.batch_size={PAIRS_PER_CHIP * len(devices)}", *overrides)
    if abs(np.prod(config.runtime.mesh)) > len(devices):
        runtime = dataclasses.replace(config.runtime, mesh=(-1, 1, 1))
        config = dataclasses.replace(config, runtime=runtime)
    return config


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_pretraining_step(target, text_of, name):
    devices = devices_of(target)
    text = text_of(f"{name}: step", lowered_step(few_pairs(name, devices), devices))
    for kernel in ("fmhaSoftmax", "fmhaSoftmaxBackward"):
        assert (f'"__cudnn${kernel}"' in text) == target.startswith("h100"), "what auto takes"


@pytest.mark.parametrize("mesh", ["(4, 1, 1)", "(1, 4, 1)", "(1, 2, 2)"])
def test_a_step_of_four_gpus(capsys, mesh):
    """The lengths that cuDNN masks by are split as the examples are, on every mesh."""
    target, shorter = "h100:1x1x4", ("--config.model.depth=2", "--config.model.decoder.depth=1")
    devices = devices_of(target)
    config = few_pairs("base", devices, f"--config.runtime.mesh={mesh}", *shorter)
    text, said = compiled(target, lowered_step(config, devices))
    with capsys.disabled():
        print(f"\n{target:10}  {'base, mesh ' + mesh + ': step':34}  {said}", end="", flush=True)
    calls = [line for line in text.splitlines() if '"__cudnn$fmhaSoftmax' in line]
    lengths = [re.findall(r"s32\[(\d+)\]", line) for line in calls]
    rows = [re.search(r"bf16\[(\d+),\d+,786,", line) for line in calls]
    masked = [(row[1], found) for row, found in zip(rows, lengths, strict=True) if row]
    assert masked and all(set(found) == {row} for row, found in masked)


def recognizer(name, backbone, device):
    """A config of `mubert finetune` on a backbone, its model, and weights that are all 0."""
    trained = SimpleNamespace(config=load(backbone))
    # There is no displacement between tokens.
    by_tokens = trained.config.model.dma.reads == "tokens"
    overrides = ["--config.model.recognizer.reads=dma"] if by_tokens else []
    config = finetune._with_backbone(load(name, *overrides), trained, CLASSES, align=None)
    config = dataclasses.replace(config, model=settled(config.model, device))
    model = build_model(config)
    return config, model, zeros(config, model)


def zeros(config, model):
    shapes = jax.eval_shape(lambda: init_params(model, jax.random.key(config.training.seed)))
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def clips(config):
    side = config.model.image_size
    images = np.zeros((1, CLIPS, 2, side, side, 3), np.uint8)
    return {FRAMES: images}, np.arange(CLIPS, dtype=np.int32) % CLASSES


class CalledWith(Exception):
    """Carries the arguments of a call that is only to be compiled."""


def arguments_of(monkeypatch, module, function, call):
    """What `call()` gives to a jitted function of `module`, and that function."""
    jitted = getattr(module, function)

    def stop(*arguments):
        raise CalledWith(arguments)

    monkeypatch.setattr(module, function, stop)
    with pytest.raises(CalledWith) as called:
        call()
    return jitted, called.value.args[0]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", RECOGNITION)
def test_a_recognizer_looks(target, text_of, name, backbone):
    """`mubert finetune`'s features, `mubert predict` and `mubert perceive`."""
    device = devices_of(target)[0]
    config, model, params = recognizer(name, backbone, device)
    side = config.model.image_size
    frames = jax.ShapeDtypeStruct((inputs.BATCH, side, side, 3), np.float32)
    traced = on(device, (params, frames, frames))
    text_of(f"{name}, {backbone}: features", features.lower(model, *traced))

    def recognize(params, onset, apex):
        frames = normalise(onset), normalise(apex)
        return jax.nn.softmax(model.apply({"params": params}, *frames, method="logits"))

    frame = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
    arguments = on(device, (params, frame, frame))
    text_of(f"{name}, {backbone}: predict", jax.jit(recognize).lower(*arguments))
    for align in ("robust", "poi"):
        perceiver = Perceiver(model, params, dataclasses.replace(config.perception, align=align))
        program = f"{name}, {backbone}: perceive, {align}"
        text = text_of(program, perceiver._compare.lower(*arguments))
        assert ('"__cudnn$fmhaSoftmax"' in text) == target.startswith("h100")


@pytest.mark.parametrize("folds", [1, 8])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_full_fine_tuning(target, text_of, monkeypatch, backbone, folds):
    device = devices_of(target)[0]
    config, model, params = recognizer("finetune_full", backbone, device)
    train, decay = np.ones((folds, CLIPS), bool), np.full(folds, 0.05)
    learning = make_network(config, Backbone(model, params))
    read, label = clips(config)
    start = jax.vmap(lambda fold: learning.init(fold, read))(np.arange(folds))
    step, arguments = arguments_of(
        monkeypatch,
        network,
        "_advance",
        lambda: network.train(learning, start, read, label, np.arange(folds), train, decay, seed=0),
    )
    *traced, learning, steps = arguments
    lowered = step.lower(*on(device, traced), learning, steps)
    text = text_of(f"finetune_full, {backbone}: {folds} folds", lowered)
    assert ('"__cudnn$fmhaSoftmaxBackward"' in text) == target.startswith("h100")


def test_heads_on_a_frozen_backbone(target, text_of, monkeypatch):
    config = load("finetune").recognition
    seen = np.zeros((1 + config.copies, CLIPS, 392), np.float32)
    label, train = np.arange(CLIPS) % CLASSES, np.ones((26, CLIPS), bool)
    fit, arguments = arguments_of(
        monkeypatch,
        linear_probe,
        "_fit_all",
        lambda: linear_probe.fit(seen, label, train, np.full(26, 0.001), CLASSES, config),
    )
    *traced, classes, config = arguments
    traced = on(devices_of(target)[0], traced)
    text_of("finetune: 26 heads", fit.lower(*traced, classes, config))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_exported_file_is_compiled_where_it_is_called(target, text_of, tmp_path, backbone):
    """StableHLO of the whole computation, written on a CPU for all platforms."""
    device = devices_of(target)[0]
    config = finetune._with_backbone(
        load("finetune_full"), SimpleNamespace(config=load(backbone)), CLASSES, align=None
    )
    file = tmp_path / "model.stablehlo"
    weights = Weights(zeros(config, build_model(config)))
    stablehlo_file.write(config, weights.params, file)
    call = export.deserialize(file.read_bytes()).call
    side = config.model.image_size
    images = on(device, [jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8)] * 2)
    text_of(f"{backbone}: StableHLO", jax.jit(call).lower(*images))

"""`mubert pretrain`: train, then draw the losses and measure the scale of the maps."""

from pathlib import Path

from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_parts import PretrainPart
from mubert_jax.data.frames import FramePairs
from mubert_jax.errors import UserError
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import build_model
from mubert_jax.perception.maps import Perceiver, measure_scale, save_scale
from mubert_jax.training import flops, pod, sharding
from mubert_jax.training.curves import plot_training
from mubert_jax.training.loop import pretrain
from mubert_jax.training.meter import Meter
from mubert_jax.training.preemption import Preempted, StopSignal


def run(config: PretrainPart, workdir: Path, console: Console):
    """Pretrains in `workdir`; see `loop.pretrain` for what is raised.

    Leaves checkpoints, config.json, metrics (.csv, .jsonl, TensorBoard), training.png,
    summary.json (what the time went to) and, where there is DMA, perception.json: the movement
    shown at full colour.
    """
    if not config.data.path:
        raise UserError(
            "config.data.path is empty; give a folder that mubert prepare made: "
            "--config.data.path=DIR"
        )
    check_attention(config.model)
    pairs = FramePairs(
        config.data.path, delta=config.data.delta, image_size=config.model.image_size
    )
    devices = sharding.make_mesh(config).size
    workdir.mkdir(parents=True, exist_ok=True)
    with StopSignal() as stop, pod.ending_as_one():
        meter = Meter(config, peak_flops=flops.peak_of(config, devices))
        state = pretrain(config, pairs, workdir, console, stop, meter)
        with meter.timing("evaluation"):
            params = pod.together(state.params)
            if pod.leads():
                _look_back(config, pairs, params, workdir)
        if pod.leads() and meter.steps:
            meter.summarise(workdir, console)
        if stop.requested:
            raise Preempted(int(state.step), workdir)


def _look_back(config: Config, pairs: FramePairs, params: dict, workdir: Path):
    plot_training(workdir)
    if config.model.dma.kind != "none":
        perceiver = Perceiver(build_model(config), params)
        save_scale(workdir, measure_scale(perceiver, pairs, config.perception.align))

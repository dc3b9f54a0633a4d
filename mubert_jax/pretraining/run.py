"""`mubert pretrain`: train, then draw the losses and measure the scale of the maps."""

from pathlib import Path
from typing import Annotated

from rich.console import Console

from mubert_jax.config import Config, PerceptionConfig
from mubert_jax.config_parts import PretrainPart
from mubert_jax.data.frames import FramePairs
from mubert_jax.errors import UserError
from mubert_jax.evaluators import make_evaluations
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.perception.maps import Perceiver, measure_scale, save_scale
from mubert_jax.pretraining.initial import InitFrom
from mubert_jax.training import flops, pod, sharding
from mubert_jax.training.curves import plot_training
from mubert_jax.training.loop import pretrain
from mubert_jax.training.meter import Meter
from mubert_jax.training.objective import Params
from mubert_jax.training.preemption import Preempted, StopSignal


def run(config: Annotated[Config, PretrainPart], workdir: Path, console: Console) -> None:
    """Pretrains in `workdir`; raises as `loop.pretrain` does.

    Writes checkpoints, config.json, metrics (.csv, .jsonl, TensorBoard), training.png, summary.json
    (how the time was spent) and, if the model has DMA, perception.json: the movement that maps show
    at full colour.
    """
    if not config.data.path:
        raise UserError(
            "config.data.path is empty; give a folder that mubert prepare made: "
            "--config.data.path=DIR"
        )
    check_attention(config.model)
    mesh = sharding.make_mesh(config)
    objective = make_objective(config, mesh.devices.flat[0])
    pairs = FramePairs(
        config.data.path, delta=config.data.delta, image_size=config.model.image_size
    )
    if isinstance(objective, MicronBertObjective) and config.loss.face_weight:
        _check_faces(config, pairs)
    evaluations = make_evaluations(config, objective)
    workdir.mkdir(parents=True, exist_ok=True)
    with StopSignal() as stop, pod.ending_as_one():
        peak_flops = flops.peak_of(config, mesh.size)
        meter = Meter(config.training.batch_size, objective.flops_per_pair(), peak_flops)
        initial = InitFrom(objective, config, console)
        state = pretrain(
            objective, config, mesh, pairs, initial, evaluations, workdir, console, stop, meter
        )
        with meter.timing("evaluation"):
            params = pod.together(state.params)
            if pod.leads():
                plot_training(workdir, objective.panels, evaluations)
                if isinstance(objective, MicronBertObjective):
                    _measure_scale(objective.model, config, pairs, params, workdir)
        if pod.leads() and meter.steps:
            meter.summarise(workdir, console)
        if stop.requested:
            raise Preempted(int(state.step), workdir)


def _check_faces(config: Config, pairs: FramePairs):
    if not pairs.knows_faces:
        raise UserError(
            f"config.loss.face_weight={config.loss.face_weight:g}: {pairs.directory} does not say "
            "where faces are, as data of `mubert prepare synthetic` do (prepared by an older "
            "version: prepare them again); start from weights that know faces "
            "(--config.training.init_from=shipped) and say --config.loss.face_weight=0"
        )


def _measure_scale(
    model: MicronBert, config: Config, pairs: FramePairs, params: Params, workdir: Path
):
    if config.model.dma.kind != "none":
        reading = PerceptionConfig(align=config.perception.align)
        save_scale(workdir, measure_scale(Perceiver(model, params, reading), pairs))

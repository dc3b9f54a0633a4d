"""How well DMA and POI see known movements of synthetic people who are not in the training."""

from dataclasses import dataclass

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.perception.benchmark import (
    Row,
    as_registered,
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_reader,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.synthetic.conditions import known_conditions
from mubert_jax.training.evaluator import Evaluator
from mubert_jax.training.objective import Objective, Params


@dataclass(frozen=True)
class Options:
    """The options `--conditions` and `--subjects` of `mubert bench perception`.

    Fewer subjects than that command takes keep a measurement short, at the price of noisier AUCs.
    """

    condition: str = "all"
    subjects: int = 4


class MotionMaps(Evaluator):
    """The in-face AUC of DMA's map and the whole-frame AUC of DMA × POI."""

    Options = Options
    headline = "auc_frame"

    def __init__(self, options: Options, config: Config, objective: Objective):
        if not isinstance(objective, MicronBertObjective) or config.model.dma.kind == "none":
            raise UserError(
                "config.evaluation.motion_maps looks at DMA's maps; this run trains no DMA"
            )
        (condition,) = known_conditions([options.condition])
        enough_subjects(options.subjects)
        model = config.model
        self._pairs = list(
            benchmark_pairs(condition, options.subjects, model.image_size, model.patch_size)
        )
        self._model, self._perception = objective.model, config.perception

    def __call__(self, params: Params, extra: dict) -> dict[str, float]:
        align = self._perception.align
        perceiver = Perceiver(self._model, params, as_registered(self._perception), batch=1)
        read = learned_reader(perceiver, ByInterest(self._model, params))
        found = evaluate(read, self._pairs, (align,))
        return {
            "auc_in_face": found[Row("DMA", align)]["all"]["auc_in_face"].value,
            "auc_frame": found[Row("DMA", align, "POI")]["all"]["auc"].value,
        }

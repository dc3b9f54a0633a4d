"""`mubert bench perception`: the controlled benchmark as a table, with 95 % intervals."""

from rich.console import Console
from rich.table import Table

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.controlled.clip import patch_means
from mubert_jax.data.controlled.nuisances import known_conditions
from mubert_jax.perception.controlled import (
    LEARNED,
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_methods,
    mass_on_face,
    rival_methods,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained

# Side of a patch where no model says it.
PATCH = 8
SCORES = {
    "auc": "AUC, frame",
    "auc_in_face": "AUC, face",
    "pointing": "pointing",
    "null": "null test",
    "correlation": "correlation",
}


def bench_perception(
    trained: Trained | None, conditions: list[str], subjects: int, size: int, console: Console
) -> list[dict]:
    """Scores rivals and, if given, a model's maps on test subjects; prints a table each.

    Args:
      trained: its image size and patch are taken. None: rivals alone.
      conditions: names of `nuisances.CONDITIONS`.
      subjects: how many test subjects.
      size: of the frames, without a model.
      console: shows the tables as they come.

    Returns:
      One row a (condition, difficulty, method), each score with its `low` and `high`.

    Raises:
      UserError: unknown condition, too few subjects.
    """
    conditions = known_conditions(conditions)
    subjects = enough_subjects(subjects)
    patch = PATCH
    methods = rival_methods(patch)
    if trained is not None:
        size, patch = trained.config.model.image_size, trained.config.model.patch_size
        perceiver = Perceiver(trained.model, trained.params, batch=1)
        methods = rival_methods(patch) | _learned(trained, perceiver)
    rows = []
    for condition in conditions:
        pairs = list(benchmark_pairs(condition, subjects, size, patch))
        found = {name: evaluate(method, pairs) for name, method in methods.items()}
        for name, estimates in found.items():
            rows += [_row(condition, difficulty, name, e) for difficulty, e in estimates.items()]
        console.print(_table(condition, found))
        if trained is not None:
            share = mass_on_face(perceiver, pairs)
            console.print(f"POI on the face: {share:.2f} of its mass", highlight=False)
            rows.append({"condition": condition, "POI on the face": share})
    return rows


def _learned(trained: Trained, perceiver: Perceiver) -> dict:
    """The default reading, registered and not; what its parts do; and the paper's reading."""
    model, params = trained.model, trained.params
    align, patch = (trained.config.perception.align,), trained.config.model.patch_size

    def reading(**keys):
        return Perceiver(model, params, PerceptionConfig(**keys), batch=1)

    subtracted = {
        "difference × POI": lambda maps: patch_means(maps.difference[0], patch) * maps.poi[0]
    }
    unfocused = {"DMA × S·N": LEARNED["DMA × POI"]}
    literal = {"1 - diag(Â)": LEARNED["DMA"], "(1 - diag(Â)) × S·N": LEARNED["DMA × POI"]}
    return (
        learned_methods(perceiver)
        | learned_methods(perceiver, align, subtracted)
        | learned_methods(reading(poi="attention"), align, unfocused)
        | learned_methods(reading(map="diagonal", poi="attention"), align, literal)
    )


def _row(condition, difficulty, method, estimates) -> dict:
    row = {"condition": condition, "difficulty": difficulty, "method": method}
    for name, estimate in estimates.items():
        row |= {name: estimate.value, f"{name} low": estimate.low, f"{name} high": estimate.high}
    return row


def _table(condition, found) -> Table:
    table = Table(title=f"{condition}: mean [95 % interval over subjects]")
    table.add_column("method")
    for label in SCORES.values():
        table.add_column(label, justify="right")
    for name, estimates in found.items():
        table.add_row(name, *(str(estimates["all"][score]) for score in SCORES))
    return table

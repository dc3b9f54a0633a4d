"""`mubert bench perception`: the controlled benchmark as a table, with 95 % intervals."""

from rich.console import Console
from rich.table import Table

from mubert_jax.data.controlled.nuisances import known_conditions
from mubert_jax.perception.controlled import (
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_methods,
    mass_on_face,
    rival_methods,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained

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
    patch, perceivers = 8, {}
    if trained is not None:
        size, patch = trained.config.model.image_size, trained.config.model.patch_size
        kinds = {"": "calibrated", "1 - diag(Â) as ": "diagonal"}
        perceivers = {
            name: Perceiver(trained.model, trained.params, kind, batch=1)
            for name, kind in kinds.items()
        }
    methods = rival_methods(patch) | learned_methods(perceivers)
    rows = []
    for condition in conditions:
        pairs = list(benchmark_pairs(condition, subjects, size, patch))
        found = {name: evaluate(method, pairs) for name, method in methods.items()}
        for name, estimates in found.items():
            rows += [_row(condition, difficulty, name, e) for difficulty, e in estimates.items()]
        console.print(_table(condition, found))
        if perceivers:
            share = mass_on_face(perceivers[""], pairs)
            console.print(f"POI on the face: {share:.2f} of its mass", highlight=False)
            rows.append({"condition": condition, "POI on the face": share})
    return rows


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

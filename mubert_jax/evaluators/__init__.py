"""Evaluators, which measure a model during its training.

A new one is a file here, with one subclass of `Evaluator`. The file's name is a key of
`config.evaluation`, whose value is {"every": steps} and the fields of the evaluator's `Options`.
"""

import sys
from collections.abc import Iterator

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.config_values import from_values
from mubert_jax.errors import UserError
from mubert_jax.training.evaluator import Evaluation, Evaluator
from mubert_jax.training.objective import Objective


def make_evaluations(config: Config, objective: Objective) -> list[Evaluation]:
    """The evaluations that a config asks for.

    Raises:
      UserError: there is no such evaluator, it lacks an option, or it cannot measure this run.
    """
    return list(_evaluations(config, objective))


def _evaluations(config: Config, objective: Objective) -> Iterator[Evaluation]:
    package = sys.modules[__name__]
    for name, values in config.evaluation.items():
        where = f"config.evaluation.{name}"
        kind = discovery.find(package, name, Evaluator, "config.evaluation")
        if not isinstance(values, dict):
            raise UserError(f"{where} is {values!r}; it takes a section, such as {{'every': 1000}}")
        options = {key: value for key, value in values.items() if key != "every"}
        every = values.get("every")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise UserError(f"{where}.every is {every!r}; it takes a number of steps from 1 on")
        evaluator = kind(from_values(kind.Options, options, where), config, objective)
        yield Evaluation(name, every, evaluator)

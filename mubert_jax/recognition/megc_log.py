"""The log the MEGC2019 challenge asks for: every subject's clips with truth and prediction."""

from pathlib import Path

from mubert_jax.data.files import replacing
from mubert_jax.recognition.predictions import Predictions

NAME = "megc2019_seed{}.txt"


def write_logs(predictions: Predictions, output: Path) -> list[Path]:
    """Writes one log a seed in `output`, and removes logs of seeds that are gone."""
    paths = []
    for seed in predictions.seeds:
        paths.append(output / NAME.format(seed))
        with replacing(paths[-1]) as temporary:
            temporary.write_text(log(predictions.of_seed(seed)), encoding="utf-8")
    for path in output.glob(NAME.format("*")):
        if path not in paths:
            path.unlink()
    return paths


def log(run: Predictions) -> str:
    """One seed's log: a line `casme2 sub01` a subject, then `EP02_01f 1 1` for each of its clips.

    The numbers are places in `run.classes`, truth first: with negative, positive, surprise those
    of the challenge. A space inside a name becomes `_`, as spaces part the fields.
    """
    lines = []
    coded = run.table.assign(code=run.truth, named=run.prediction)
    for (dataset, subject), rows in coded.groupby(["dataset", "subject"], sort=False):
        lines.append(f"{_word(dataset)} {_word(subject.removeprefix(f'{dataset}/'))}")
        for clip, truth, named in zip(rows["clip"], rows["code"], rows["named"], strict=True):
            lines.append(f"{_word(_own_name(clip, dataset, subject))} {truth} {named}")
    return "\n".join(lines) + "\n"


def _own_name(clip, dataset, subject) -> str:
    """Without the data set's and the subject's folder."""
    return clip.removeprefix(f"{dataset}/").removeprefix(f"{subject}/")


def _word(text: str) -> str:
    return "_".join(text.split())

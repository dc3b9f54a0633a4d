"""The contract of predictions.csv: what is read, and the one line on what cannot be."""

import numpy as np
import pandas as pd
import pytest

from mubert_jax.errors import UserError
from mubert_jax.recognition.predictions import UNNAMED, Predictions

FULL = """dataset,subject,clip,seed,fold,truth,prediction,probability_positive,probability_negative
casme2,01,EP02,0,a,negative,negative,0.25,0.75
casme2,01,EP03,0,a,positive,negative,0.4,0.6
samm,01,EP02,0,b,positive,positive,1,0
casme2,01,EP02,3,a,negative,positive,0.5,0.5
casme2,01,EP03,3,a,positive,positive,0.9,0.1
samm,01,EP02,3,b,positive,positive,1,0
"""
SHORT = "subject,clip,truth,prediction\n01,EP02,happy,happy\n02,EP02,sad,happy\n"


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "theirs.csv"

    def written(text, encoding="utf-8"):
        path.write_bytes(text.encode(encoding))
        return path

    return written


def test_all_columns(write):
    predictions = Predictions.load(write(FULL))
    assert predictions.classes == ("positive", "negative")
    assert predictions.seeds == (0, 3) and predictions.datasets == ("casme2", "samm")
    assert list(predictions.subject_ids[:3]) == ["casme2/01", "casme2/01", "samm/01"]
    np.testing.assert_array_equal(predictions.truth, [1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(predictions.prediction, [1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(predictions.probabilities[1], [0.4, 0.6])
    assert predictions.crossing() == []
    assert list(predictions.of_seed(3).table["clip"]) == ["EP02", "EP03", "EP02"]


def test_the_given_classes_set_the_order(write):
    predictions = Predictions.load(write(FULL), ("negative", "positive"))
    np.testing.assert_array_equal(predictions.truth[:3], [0, 1, 1])
    np.testing.assert_allclose(predictions.probabilities[1], [0.6, 0.4])
    assert list(predictions.table)[-2:] == ["probability_negative", "probability_positive"]


def test_another_methods_four_columns(write):
    text = "\ufeff" + SHORT.replace(",", " , ").replace("\n", "\r\n") + "\r\n\r\n"
    predictions = Predictions.load(write(text))
    assert predictions.classes == ("happy", "sad") and predictions.seeds == (0,)
    assert predictions.datasets == (UNNAMED,) and predictions.probabilities is None
    assert list(predictions.table["subject"]) == list(predictions.table["fold"]) == ["01", "02"]


def test_saved_and_loaded_it_is_the_same(write, tmp_path):
    first = Predictions.load(write(FULL))
    first.save(tmp_path / "saved.csv")
    again = Predictions.load(tmp_path / "saved.csv")
    pd.testing.assert_frame_equal(first.table, again.table)
    again.save(tmp_path / "again.csv")
    assert (tmp_path / "saved.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_a_subject_in_two_folds_of_a_seed_is_found(write):
    assert Predictions.load(write(FULL.replace("EP03,3,a", "EP03,3,b"))).crossing() == ["casme2/01"]
    assert Predictions.load(write(FULL.replace(",3,a", ",3,b"))).crossing() == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no column 'subject'; .* has nothing"),
        ("subject,clip,truth\n1,2,3\n", "no column 'prediction'"),
        ("subject,clip,truth,prediction\n", "a header and no row"),
        ("subject,clip,clip,truth,prediction\n1,1,1,1,1\n", "two columns 'clip'"),
        (SHORT + "03,EP01,sad\n", "row 4: 3 cells under 4 columns"),
        (SHORT + "\n03,EP01,,sad\n", "row 5, column truth: empty"),
        (SHORT + "03,EP01,sad,hapy\n", "row 4, column prediction: .*did you mean 'happy'"),
        (SHORT + "01,EP02,happy,sad\n", "row 4, column clip: .*01/EP02 is in row 2 too, .*seed 0"),
        (FULL.replace(",3,a", ",x,a"), "row 5, column seed: 'x' is no integer"),
        (FULL.replace("0.25,", "1.25,"), "row 2, column probability_positive: '1.25'"),
        (FULL.replace("0.25,", "nan,"), "row 2, column probability_positive: 'nan'"),
        (FULL.replace("0.25,", "0.35,"), "row 2: the probabilities sum to 1.1, not to 1"),
        (
            FULL.removesuffix("samm,01,EP02,3,b,positive,positive,1,0\n"),
            "row 4, column clip: samm/01/EP02 is under seed 0 and not under seed 3",
        ),
        (
            FULL + "samm,02,EP09,3,b,positive,positive,1,0\n",
            "row 8, column clip: samm/02/EP09 is under seed 3 and not under seed 0",
        ),
        (
            FULL.replace("EP03,3,a,positive", "EP03,3,a,negative"),
            "row 6, column truth: casme2/01/EP03 is 'negative' here and 'positive' in row 3",
        ),
    ],
)
def test_refuses(write, text, message):
    path = write(text)
    with pytest.raises(UserError, match=message) as caught:
        Predictions.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_refuses_what_is_not_of_the_given_classes(write):
    with pytest.raises(UserError, match="row 3, column truth: unknown class 'sad'"):
        Predictions.load(write(SHORT), ("happy", "angry"))
    with pytest.raises(UserError, match="column probability_positive: unknown class"):
        Predictions.load(write(FULL), ("positiv", "negative"))
    with pytest.raises(UserError, match="no column 'probability_surprise'"):
        Predictions.load(write(FULL), ("positive", "negative", "surprise"))


def test_refuses_files_that_are_no_csv(write, tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv: No such file"):
        Predictions.load(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        Predictions.load(write(SHORT.replace("sad", "trüb"), "latin-1"))

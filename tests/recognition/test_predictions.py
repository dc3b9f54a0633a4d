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
        ("", "empty"),
        ("subject,clip,truth\n1,2,3\n", "no column prediction"),
        ("subject,clip,truth,prediction\n", "a header and no row"),
        ("subject,clip,clip,truth,prediction\n1,1,2,1,1\n", "clip in the columns 2 and 3"),
        (SHORT + "03,EP01,sad\n", "row 4, column prediction: empty"),
        (SHORT + "03,EP01,sad,happy,sad\n", "row 4: 5 cells below a header of 4"),
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


def test_refuses_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv: no such file"):
        Predictions.load(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="a folder; give a file of predictions"):
        Predictions.load(tmp_path)


@pytest.mark.parametrize(
    "encoded",
    [
        SHORT.replace(",", ";").encode(),
        SHORT.replace(",", "\t").encode("utf-16"),
        SHORT.replace("subject,clip,truth,prediction", "Subject, Clip ,TRUTH,Prediction").encode(),
        SHORT.replace("happy", "Happy", 1).encode("utf-8-sig"),
    ],
    ids=["semicolons", "UTF-16 and tabs", "capitals", "two spellings of a class"],
)
def test_what_prepare_pairs_reads_is_read(tmp_path, encoded):
    (tmp_path / "theirs.csv").write_bytes(encoded)
    found = Predictions.load(tmp_path / "theirs.csv")
    assert found.classes == ("happy", "sad")
    assert found.truth.tolist() == [0, 1] and found.prediction.tolist() == [0, 0]


def test_a_workbook_of_numbers_and_fractions(tmp_path):
    """As pandas writes integers beside a column that has once held a gap."""
    table = pd.DataFrame(
        {"subject": [1, 2], "clip": ["a", "b"], "truth": [0, 1], "prediction": [0.0, 0.0]}
    )
    for name in ("theirs.xlsx", "theirs.csv"):
        getattr(table, "to_excel" if "xls" in name else "to_csv")(tmp_path / name, index=False)
        found = Predictions.load(tmp_path / name)
        assert found.classes == ("0", "1") and found.prediction.tolist() == [0, 0]
    given = Predictions.load(tmp_path / "theirs.csv", ("0", "1", "2"))
    assert given.classes == ("0", "1", "2")


def test_one_person_under_two_spellings_is_one(write):
    text = "subject,clip,fold,truth,prediction\n01,a,x,p,p\n1,b,y,q,q\nS2,a,x,p,q\n s02,b,x,q,q\n"
    found = Predictions.load(write(text))
    assert len(set(found.subject_ids)) == 2 and found.crossing() == ["unnamed/01"]
    assert "'01' (row 2) and '1' (row 3) are taken for one" in found.notes[0]
    assert "'S2' (row 4) and 's02' (row 5) are taken for one" in found.notes[1]
    apart = Predictions.load(write(text.replace("\n01,", "\nsub01,")))
    assert len(set(apart.subject_ids)) == 3
    assert "'sub01' (row 2) and '1' (row 3)" in apart.notes[-1]


def test_two_spellings_with_clips_of_one_name_are_told_apart_by_the_user(write):
    with pytest.raises(UserError, match="row 3, column clip: unnamed/01/a is in row 2 too"):
        Predictions.load(write("subject,clip,truth,prediction\n01,a,p,p\n1,a,q,q\n"))


def test_seeds_may_spell_a_person_in_two_ways(write):
    text = "subject,clip,seed,truth,prediction\n01,a,0,p,p\n02,a,0,q,p\n1,a,1,p,p\n2,a,1,q,q\n"
    assert Predictions.load(write(text)).seeds == (0, 1)


def test_probabilities_of_one_class_under_two_spellings_are_added(write):
    text = (
        "subject,clip,truth,prediction,probability_Neg,probability_neg,probability_pos\n"
        "1,a,Neg,neg,0.5,0.2,0.3\n2,a,pos,Neg,0.25,0.25,0.5\n"
    )
    found = Predictions.load(write(text))
    assert [name.lower() for name in found.classes] == ["neg", "pos"]
    np.testing.assert_allclose(found.probabilities, [[0.7, 0.3], [0.5, 0.5]])
    assert found.truth.tolist() == [0, 1] and found.prediction.tolist() == [0, 0]
    assert "are taken for one" in found.notes[0]
    of_run = Predictions.load(write(text), ("Neg", "neg", "pos"))
    assert of_run.classes == ("Neg", "pos")

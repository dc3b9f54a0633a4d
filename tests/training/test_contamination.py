"""Whose faces weights have seen goes wherever the weights go, and is compared with care."""

import hashlib
import json
import shutil

import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.people import FRAMES, SYNTHETIC, Person
from mubert_jax.interop.opening import SHIPPED_FILE, open_trained
from mubert_jax.training.checkpoints import load_seen, load_weights, save_imported
from mubert_jax.training.contamination import Seen

SMIC, SAMM, CASME2 = Person.of("smic", "s01"), Person.of("samm", "001"), Person.of("casme2", "1")
OWN = Person.of("mine", "s1")


def test_a_person_is_known_by_data_set_and_name():
    seen = Seen.of([SMIC, Person.of("casme2", "sub02"), OWN])
    for dataset, subject in (("smic", "1"), ("SMIC-HS", "s1"), ("CASME II", "02"), ("mine", "S01")):
        assert Person.of(dataset, subject) in seen
    for dataset, subject in (("smic", "s10"), ("casme2", "sub01"), ("samm", "001"), ("mine", "2")):
        assert Person.of(dataset, subject) not in seen


def test_synthetic_people_are_nobody_else():
    synthetic = Person.elsewhere(f"{SYNTHETIC}0", "s000001")
    seen = Seen.of([synthetic])
    assert synthetic in seen and Person.elsewhere(f"{SYNTHETIC}1", "s000001") not in seen
    for person in (SMIC, OWN, Person.of("made-up 0", "s1"), Person.elsewhere(FRAMES + "ab", "s1")):
        assert person not in seen and seen.may_be(person) is None
        assert Seen.of([person]).may_be(synthetic) is None


def test_between_two_public_data_sets_there_is_no_doubt():
    for one in (SMIC, SAMM, CASME2):
        others = Seen.of(person for person in (SMIC, SAMM, CASME2) if person != one)
        assert one not in others and others.may_be(one) is None


@pytest.mark.parametrize("name", ["sub01", "Sub 1", "1", "s1", "s_01"])
def test_between_other_data_there_is_and_both_are_named(name):
    frames = Person.elsewhere(FRAMES + "3fa2b1c0", name)
    seen = Seen.of([frames])
    assert CASME2 not in seen and "unlabelled frames 3fa2b1c0" in seen.may_be(CASME2)
    assert Seen.of([CASME2]).may_be(frames) == "'sub1' of casme2"
    assert seen.may_be(Person.of("mine", name))
    assert seen.may_be(Person.of("casme2", "sub02")) is None
    assert Seen.of([Person.of("casme2", "sub02")]).may_be(frames) is None


def test_a_file_of_an_older_version_names_people_who_may_be_meant():
    def digest(name):
        return hashlib.sha256(name.encode()).hexdigest()[:12]

    people = [digest(name) for name in ("sub1", "6", "spno.7", "anna")]
    seen = Seen.from_json({"people": people, "unknown": ["x.pth"]}, "old.pth")
    assert seen.unknown == ("x.pth",)
    for dataset, subject in (("casme2", "sub01"), ("samm", "006"), ("casme3", "7"), ("t", "Anna")):
        person = Person.of(dataset, subject)
        assert person not in seen and "of which only the names" in seen.may_be(person)
    assert seen.may_be(Person.of("casme2", "sub02")) is None
    assert Seen.from_json(seen.to_json(), "") == seen


def test_names_are_pseudonyms_that_differ_from_file_to_file():
    one, other = (Seen.of([OWN, SMIC]) for _ in range(2))
    texts = [json.dumps(seen.to_json()) for seen in (one, other)]
    for text in texts:
        assert "mine" not in text and "s1" not in text
        assert hashlib.sha256(b"s1").hexdigest()[:12] not in text
    digests = [{d for group in seen.groups for d in group.people} for seen in (one, other)]
    assert not digests[0] & digests[1]


def test_one_training_after_the_other():
    both = Seen.of([OWN]) | Seen(unknown=("x.pth",)) | Seen.of([SMIC]) | Seen(unknown=("x.pth",))
    assert OWN in both and SMIC in both and both.unknown == ("x.pth",)
    assert Seen.from_json(both.to_json(), "somewhere") == both
    assert Seen.from_json(None, "old.pth") == Seen(unknown=("old.pth",))
    unclear = Seen.in_frames([SMIC], False, "data/x")
    assert SMIC in unclear and unclear.unknown[0].startswith("data/x")


@pytest.fixture
def everyone(frames_set):
    people, told_apart = FramePairs(frames_set, (1, 3), 32).people
    assert told_apart and len(people) == 2
    return people


def test_a_run_knows_and_an_export_and_an_import_do_not_forget(trained_run, everyone, tmp_path):
    known = load_seen(trained_run)
    assert all(person in known for person in everyone)
    for name in ("w.safetensors", "w.pth"):
        export = tmp_path / name
        kind = "torch" if name.endswith("pth") else "safetensors"
        arguments = [f"--checkpoint={trained_run}", f"--format={kind}", f"--output={export}"]
        assert main(["export", *arguments]) == 0
        back = tmp_path / kind
        assert main(["import", f"--input={export}", f"--workdir={back}"]) == 0
        assert load_seen(back) == known


def test_the_shipped_weights_are_known_wherever_they_lie(tmp_path):
    copy = shutil.copy(SHIPPED_FILE, tmp_path / "mine.safetensors")
    imported = tmp_path / "imported"
    assert main(["import", f"--input={copy}", f"--workdir={imported}"]) == 0
    for seen in (open_trained("shipped").seen, open_trained(copy).seen, load_seen(imported)):
        assert not seen.unknown and Person.elsewhere(f"{SYNTHETIC}0", "s000319") in seen
        assert all(seen.may_be(person) is None for person in (SMIC, SAMM, CASME2, OWN))


@pytest.mark.slow
def test_a_run_that_started_from_another_adds_to_it_and_does_not_need_it_to_go_on(
    trained_run, frames_set, everyone, tmp_path
):
    older, run = tmp_path / "older", tmp_path / "run"
    config, weights = load_weights(trained_run)
    grandmother = Person.of("mine", "grandmother")
    save_imported(older, config, weights, "w.pth", Seen.of([grandmother]))
    values = tiny_config(
        loss__agreement="none",
        data__path=str(frames_set),
        training__steps=2,
        training__init_from=str(older),
        runtime__checkpoint_every=1,
    )
    file = write_config_file(tmp_path / "config.py", values)
    start = ["pretrain", f"--config={file}", f"--workdir={run}"]
    assert main(start) == 0
    before = load_seen(run)
    shutil.rmtree(older)
    shutil.rmtree(run / "checkpoints" / "2")
    assert main(start) == 0
    assert (run / "checkpoints" / "2").exists()
    assert load_seen(run) == before
    assert all(person in before for person in (*everyone, grandmother))

import errno
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from conftest import fresh_state, tiny_config

from mubert_jax.errors import DiskFull, UserError, kind_of
from mubert_jax.training import sharding
from mubert_jax.training.checkpoints import Checkpoints, load_weights


def state_of(config, devices=1):
    mesh = sharding.make_mesh(config, jax.devices()[:devices])
    state = fresh_state(config)
    return jax.device_put(state, sharding.state_shardings(mesh, config.runtime.sharding, state))


def abstract(state):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )


@pytest.mark.parametrize("agreement", ["none", "mse", "dino"])
def test_round_trip(tmp_path, agreement):
    config = tiny_config(loss__agreement=agreement)
    state = state_of(config)
    with Checkpoints(tmp_path, config, "data") as checkpoints:
        checkpoints.save(3, state)
    with Checkpoints(tmp_path, config, "data") as checkpoints:
        assert checkpoints.latest_step == 3
        restored = checkpoints.restore(abstract(state))
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    loaded_config, weights = load_weights(tmp_path)
    assert loaded_config == config
    jax.tree.map(np.testing.assert_array_equal, weights.params, state.params)


def test_four_sharded_devices_to_one(tmp_path):
    rules = (("kernel", ("fsdp",)),)
    config = tiny_config(runtime__mesh=(1, 4, 1), runtime__sharding=rules)
    state = state_of(config, devices=4)
    with Checkpoints(tmp_path, config, "data") as checkpoints:
        checkpoints.save(1, state)
    alone = tiny_config(runtime__mesh=(1, 1, 1))
    with Checkpoints(tmp_path, alone, "data") as checkpoints:
        restored = checkpoints.restore(abstract(state_of(alone)))
    jax.tree.map(np.testing.assert_array_equal, restored, state)


ALONE = tiny_config(runtime__mesh=(1, 1, 1))


@pytest.fixture(scope="module")
def state():
    return state_of(ALONE)


@pytest.fixture(scope="module")
def run(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("run")
    with Checkpoints(folder, ALONE, "data") as checkpoints:
        checkpoints.save(1, state)
        checkpoints.save(2, state)
    return folder


@pytest.fixture
def two(tmp_path, run):
    """Steps 1 and 2 of a run, the second to be damaged."""
    return Path(shutil.copytree(run / "checkpoints", tmp_path / "checkpoints"))


@pytest.fixture
def saved(two):
    """A run of one step."""
    shutil.rmtree(two / "2")
    return two.parent


def test_another_config_is_refused_key_by_key(saved, state):
    other = tiny_config(model__dim=64, data__delta=(2, 3))
    with Checkpoints(saved, other, "data") as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(abstract(state))
    assert "model.dim (32 in the checkpoint, 64 asked)" in str(error.value)
    assert "data.delta ((1, 3) in the checkpoint, (2, 3) asked)" in str(error.value)
    assert "model.depth" not in str(error.value)


def test_runtime_keys_may_change(saved, state):
    other = tiny_config(runtime__log_every=7, data__path="elsewhere")
    with Checkpoints(saved, other, "data") as checkpoints:
        checkpoints.restore(abstract(state))


def test_other_data_are_refused(saved, state):
    with Checkpoints(saved, tiny_config(), "new") as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(abstract(state))
    assert "other data" in str(error.value)


def test_missing_checkpoint(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="no checkpoint in"):
            load_weights(folder)


def without(*names):
    def damage(step):
        for name in names:
            shutil.rmtree(step / name)

    return damage


def shortened(pattern):
    def damage(step):
        for path in step.glob(pattern):
            path.write_bytes(path.read_bytes()[:10])

    return damage


def one_bit(step):
    """In the largest file of the parameters, which nothing else watches over."""
    path = max(step.glob("params/ocdbt.process_0/d/*"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def written(name, text):
    return lambda step: (step / name).write_text(text)


def emptied(step):
    shutil.rmtree(step)
    step.mkdir()


def only_begun(step):
    emptied(step)
    (step / "params").mkdir()


def a_file(step):
    shutil.rmtree(step)
    step.write_text("")


DAMAGES = {
    "no params": without("params"),
    "no arrays": without("params/d"),
    "no origin": without("origin"),
    "neither": without("params", "origin"),
    "cut arrays": shortened("params/ocdbt.process_0/d/*"),
    "one bit": one_bit,
    "cut manifest": shortened("params/manifest.ocdbt"),
    "cut metadata": shortened("params/_METADATA"),
    "cut origin": shortened("origin/metadata"),
    "bare origin": written("origin/metadata", "{}"),
    "odd origin": written("origin/metadata", "[3]"),
    "empty": emptied,
    "only begun": only_begun,
    "a file": a_file,
}


# Orbax leaves reads behind when one fails; `command` keeps what they say from the user.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_in_one_line_and_another_beside_it(two, state, damage):
    damage(two / "2")
    with pytest.raises(UserError, match=f"^{two / '2'} .*take {two / '1'}$") as error:
        load_weights(two.parent)
    assert "tensorstore" not in str(error.value).lower() and len(str(error.value)) < 400
    assert load_weights(two / "1")
    config = tiny_config(runtime__mesh=(1, 1, 1))
    with pytest.raises(UserError, match=f"goes on from {two / '1'}$"):
        with Checkpoints(two.parent, config, "data") as checkpoints:
            assert checkpoints.latest_step == 2
            checkpoints.restore(abstract(state))
    assert {path.name for path in two.iterdir()} == {"1", "2"}, "nothing is deleted"


def test_a_run_goes_on_without_its_damaged_last_step_once_that_is_moved_away(two, state):
    only_begun(two / "2")
    (two / "2").rename(two.parent / "damaged")
    with Checkpoints(two.parent, ALONE, "data") as checkpoints:
        assert checkpoints.latest_step == 1
        checkpoints.restore(abstract(state))


def test_a_run_without_its_optimizer_can_be_read_but_does_not_go_on(two, state):
    without("training")(two / "2")
    assert load_weights(two.parent)
    with Checkpoints(two.parent, ALONE, "data") as checkpoints:
        with pytest.raises(UserError, match="2 has no training: .* goes on from .*/1$"):
            checkpoints.restore(abstract(state))


def test_checkpoints_of_older_versions_have_no_checksums(saved, state):
    path = saved / "checkpoints" / "1" / "origin" / "metadata"
    origin = json.loads(path.read_text())
    assert set(origin.pop("checksums")) == {"params", "extra", "training"}
    path.write_text(json.dumps(origin))
    jax.tree.map(np.testing.assert_array_equal, load_weights(saved)[1].params, state.params)


def test_a_config_that_is_none_is_said_of_its_step(two):
    written("origin/metadata", '{"config": {"model": 3}, "data": "x"}')(two / "2")
    with pytest.raises(UserError, match=f"^{two / '2'}: config.model must be"):
        load_weights(two.parent)


def test_the_only_checkpoint_is_damaged(saved):
    without("params")(saved / "checkpoints" / "1")
    with pytest.raises(UserError, match="copy it again .there is no other one in"):
        load_weights(saved)


def test_what_was_never_finished_is_no_checkpoint(saved):
    step = saved / "checkpoints" / "1"
    step.rename(step.with_name("1.orbax-checkpoint-tmp-12"))
    with pytest.raises(UserError, match="no checkpoint in .* but one that was not finished"):
        load_weights(saved)


@pytest.mark.parametrize("code, exit_code", [(errno.EIO, 75), (errno.ESTALE, 75), (errno.EPERM, 2)])
def test_a_disk_that_fails_for_a_moment_is_no_damage(saved, monkeypatch, code, exit_code):
    def fail(*_, **__):
        raise ValueError(f"Error reading: {os.strerror(code)} [os_error_code='{code}']")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", fail)
    with pytest.raises(UserError) as error:
        load_weights(saved)
    assert kind_of(error.value).exit_code == exit_code
    assert ("copied only in part" in str(error.value)) is (exit_code == 2)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["in save", "in the background"])
def test_disk_full_keeps_the_last_good_checkpoint(saved, state, monkeypatch, asynchronous):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Checkpoints(saved, ALONE, "data") as checkpoints:
        name = "check_for_errors" if asynchronous else "save"
        with monkeypatch.context() as patch:
            patch.setattr(ocp.CheckpointManager, name, full)
            with pytest.raises(DiskFull, match="disk full"):
                checkpoints.save(2, state) if not asynchronous else checkpoints.check()
    restored = load_weights(saved)[1].params
    jax.tree.map(np.testing.assert_array_equal, restored, state.params)

import errno
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from conftest import tiny_config

from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import build_model
from mubert_jax.training import sharding
from mubert_jax.training.checkpoints import Checkpoints, load_model
from mubert_jax.training.state import create_state, optimizer


def state_of(config, devices=1):
    model, tx = build_model(config), optimizer(config, 20)
    mesh = sharding.make_mesh(config, jax.devices()[:devices])
    state = jax.jit(lambda: create_state(config, model, tx))()
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
    loaded_config, _, params = load_model(tmp_path)
    assert loaded_config == config
    jax.tree.map(np.testing.assert_array_equal, params, state.params)


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


@pytest.fixture
def saved(tmp_path):
    config = tiny_config(runtime__mesh=(1, 1, 1))
    with Checkpoints(tmp_path, config, "data") as checkpoints:
        checkpoints.save(1, state_of(config))
    return tmp_path


def test_another_config_is_refused_key_by_key(saved):
    other = tiny_config(model__dim=64, data__delta=(2, 3))
    with Checkpoints(saved, other, "data") as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(abstract(state_of(other)))
    assert "model.dim (32 in the checkpoint, 64 asked)" in str(error.value)
    assert "data.delta ((1, 3) in the checkpoint, (2, 3) asked)" in str(error.value)
    assert "model.depth" not in str(error.value)


def test_runtime_keys_may_change(saved):
    other = tiny_config(runtime__log_every=7, data__path="elsewhere")
    with Checkpoints(saved, other, "data") as checkpoints:
        checkpoints.restore(abstract(state_of(other)))


def test_other_data_are_refused(saved):
    with Checkpoints(saved, tiny_config(), "new") as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(abstract(state_of(tiny_config())))
    assert "other data" in str(error.value)


def test_missing_checkpoint(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="no checkpoint in"):
            load_model(folder)


def test_damaged_checkpoint_is_one_line(saved):
    shutil.rmtree(saved / "checkpoints" / "1" / "params")
    with pytest.raises(UserError) as error:
        load_model(saved)
    assert str(saved) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["in save", "in the background"])
def test_disk_full_keeps_the_last_good_checkpoint(saved, monkeypatch, asynchronous):
    config = tiny_config(runtime__mesh=(1, 1, 1))
    state = state_of(config)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Checkpoints(saved, config, "data") as checkpoints:
        name = "check_for_errors" if asynchronous else "save"
        with monkeypatch.context() as patch:
            patch.setattr(ocp.CheckpointManager, name, full)
            with pytest.raises(UserError, match="disk full"):
                checkpoints.save(2, state) if not asynchronous else checkpoints.check()
    restored = load_model(saved)[2]
    jax.tree.map(np.testing.assert_array_equal, restored, state.params)

"""A new file in the folder is a recognizer that is cross-validated; no other file is touched."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.recognition import networks

MLP = '''
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.recognition.network import Network


@dataclass(frozen=True)
class Options:
    """Of the hidden layer."""

    hidden: int = 8


class TwoLayers(Network):
    """A hidden layer between the flow and the logits."""

    Options = Options
    reads = ("flow",)

    def _apply(self, inputs, variables=None, key=None):
        flow_BxHxWx2 = inputs["flow"]
        mlp = nn.Sequential([nn.Dense(self.options.hidden), nn.relu, nn.Dense(self.classes)])
        read = flow_BxHxWx2.reshape(len(flow_BxHxWx2), -1)
        return mlp.init(key, read) if variables is None else mlp.apply(variables, read)

    def init(self, key, inputs):
        return self._apply(inputs, key=key)

    def logits(self, params, inputs):
        return self._apply(inputs, params)

    def augment(self, key, inputs):
        """Mirrored half of the time; what went to the right then goes to the left."""
        flow_HxWx2 = inputs["flow"]
        mirrored = flow_HxWx2[:, ::-1] * jnp.array([-1.0, 1.0])
        return {"flow": jnp.where(jax.random.bernoulli(key), mirrored, flow_HxWx2)}

    def layers(self, params):
        names = jax.tree_util.tree_map_with_path(lambda path, _: str(path), params)
        return jax.tree.map(lambda name: int("layers_0" in name), names)
'''


@pytest.fixture
def dropped(drop):
    drop(networks, "two_layers", MLP)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """3 synthetic people × 3 clips, 32×32."""
    folder = tmp_path_factory.mktemp("drawn") / "pairs"
    people = ["--subjects=3", "--clips=3", "--size=32", "--frames=8", "--conditions", "clean"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={folder}", *people]) == 0
    return folder


@pytest.fixture
def finetune(tmp_path, drawn):
    """Flags -> the exit code of a fine-tuning of a fresh tiny backbone in `tmp_path`/run."""
    values = tiny_config(
        data__path=str(drawn),
        loss__agreement="none",
        model__depth=1,
        recognition__network="two_layers",
        recognition__epochs=4,
        recognition__batch_size=4,
        recognition__learning_rate=0.01,
        recognition__seeds=(0,),
        recognition__weight_decay=(0.01,),
    )
    config = write_config_file(tmp_path / "config.py", values)
    start = ["finetune", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    return lambda *flags: main([*start, *flags])


def test_it_is_cross_validated(dropped, finetune, tmp_path):
    run = tmp_path / "run"
    assert finetune("--config.recognition.options.hidden=5") == 0
    table = pd.read_csv(run / "predictions.csv")
    assert len(table) == 9 and table["fold"].nunique() == 3
    curves = pd.read_csv(run / "curves.csv")
    assert np.isfinite(curves["loss"]).all() and curves["epoch"].max() == 4
    assert (run / "results.html").exists() and not (run / "checkpoints").exists()
    plan = json.loads((run / "finetune.json").read_text())
    assert plan["recognition.network"] == "'two_layers'"
    assert plan["recognition.options"] == "{'hidden': 5}"
    assert len(list((run / "inputs").glob("flow-*.npy"))) == 1, "of all folds"
    before = (run / "predictions.csv").read_bytes()
    (run / "folds" / "seed0-fold001.npz").unlink()
    assert finetune("--config.recognition.options.hidden=5") == 0
    assert (run / "predictions.csv").read_bytes() == before, "a fold learns the same, when alone"


@pytest.mark.parametrize(
    "flag, said",
    [
        ("network=two_layer", "config.recognition.network 'two_layer'; did you mean 'two_layers'?"),
        ("options.hiden=3", "key config.recognition.options.hiden; did you mean 'hidden'?"),
        ("options.hidden=many", "config.recognition.options.hidden is 'many'; it takes a value of"),
        ("features=flow", "only where config.recognition.network is 'linear_probe'"),
        ("head_epochs=3", "only where config.recognition.network is 'micron_bert'"),
    ],
)
def test_what_it_does_not_take_is_one_line(dropped, finetune, tmp_path, capsys, flag, said):
    assert finetune(f"--config.recognition.{flag}") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()

"""`mubert bench sizes`, `devices`, `checkpoint` and `folds` at the smallest size."""

import re
from types import SimpleNamespace
from unittest.mock import create_autospec

import jax
import pytest
from conftest import fresh_state, tiny_config
from rich.console import Console

from mubert_jax.bench import folds, sizes
from mubert_jax.bench.checkpoint import bench_checkpoint
from mubert_jax.bench.collectives import collectives_of, count_collectives
from mubert_jax.bench.devices import bench_devices
from mubert_jax.bench.sizes import bench_sizes
from mubert_jax.objectives import make_objective

CONFIG = tiny_config(loss__agreement="none")
SPLIT = tiny_config(loss__agreement="mse", model__depth=1)
QUIET = Console(quiet=True)


def abstract_state(config):
    return jax.eval_shape(lambda: fresh_state(config))


class Planned:
    """In the place of `TimedStep`: no compiler, figures that tell which size they are of."""

    dtype = "float32"
    made = []

    def __init__(self, config):
        self.config = config
        self.abstract_state = abstract_state(config)
        self.made.append(self)

    @property
    def second(self):
        model = self.config.model
        return model.image_size * model.dim * model.depth / 1000

    def seconds(self, count):
        assert count == 3
        return [9 * self.second, 0.5 * self.second, self.second]

    def planned_bytes(self):
        return 10**9 * self.config.model.depth


def test_sizes_change_one_thing_at_a_time(monkeypatch):
    monkeypatch.setattr(sizes, "TimedStep", Planned)
    monkeypatch.setattr(Planned, "made", [])
    monkeypatch.setattr(sizes.flops, "matmul_peak", lambda dtype, repeats: 1e9)
    rows = bench_sizes(CONFIG, [2, 4], 3, QUIET)
    own, batch, *grown = [(r["image"], r["width"], r["depth"], r["batch"]) for r in rows]
    assert own == (32, 32, 2, 2) and batch == (32, 32, 2, 4)
    assert len(set(grown)) == 6
    assert all(sum(a != b for a, b in zip(row, own, strict=True)) == 1 for row in grown)
    for row, step in zip(rows, Planned.made, strict=True):
        model, config = step.config.model, step.config
        assert (row["image"], row["width"], row["depth"]) == (
            model.image_size,
            model.dim,
            model.depth,
        )
        assert config.training.batch_size == row["batch"] and config.runtime.mesh == (1, 1, 1)
        assert row["patches"] == (row["image"] // 8) ** 2
        counted = make_objective(config).flops_per_pair()
        rate = row["batch"] / step.second
        assert row["pairs/s"] == pytest.approx(rate), "the median"
        assert row["GFLOP per pair"] == pytest.approx(counted / 1e9)
        assert row["of the peak"] == pytest.approx(rate * counted / 1e9)
        assert row["planned GB"] == model.depth
    deep = next(row for row in rows if row["depth"] == 4)
    for grows in ("GFLOP per pair", "M parameters"):
        assert deep[grows] > rows[0][grows] > 0


@pytest.fixture(scope="module")
def devices():
    """(plan, devices) -> row."""
    rows = bench_devices(SPLIT, 4, [4], 1, QUIET)
    return {(row["plan"], row["devices"]): row for row in rows}


def test_data_parallel_sums_the_gradients_once_and_the_metrics_once(devices):
    row = devices["data", 4]
    assert re.fullmatch(r"2 all-reduce \(.* MB\)", row["collectives"])
    gradients = 4 * sum(x.size for x in jax.tree.leaves(abstract_state(SPLIT).params))
    assert gradients < 1e6 * row["MB moved"] < 1.01 * gradients
    assert row["pairs/s"] > 0 and row["planned GB per device"] > 1e-9 * gradients


def test_fsdp_gathers_each_matrix_that_it_splits(devices):
    gathered = int(re.search(r"(\d+) all-gather", devices["fsdp", 4]["collectives"])[1])
    matrices = 4 * 2  # of the encoder's block and of the decoder's
    assert matrices <= gathered <= 2 * matrices


def test_collectives_are_counted_in_bytes_flags_too():
    program = """
      %a = (f32[4,8]{1,0}, bf16[10]) all-reduce(%x, %y), channel_id=1
      %b = pred[] all-reduce(%z), channel_id=2
      %c = f32[2,2]{1,0:T(8,128)S(1)} all-gather(%w)
      %d = f8e4m3fn[6]{0} ragged-all-to-all(%w)
    """
    numbers, sizes = count_collectives(collectives_of(program))
    assert numbers == {"all-reduce": 2, "all-gather": 1, "ragged-all-to-all": 1}
    assert sizes == {
        "all-reduce": 4 * 32 + 2 * 10 + 1,
        "all-gather": 16,
        "ragged-all-to-all": 6,
    }


def test_of_a_collective_under_way_the_result_counts():
    """As programs for NVIDIA's H100 and Google's v5e have them."""
    program = """
      %a = (f32[4,8]{1,0}, bf16[10]) all-reduce-start(%x, %y), channel_id=1
      %b = ((f32[2]{0}, bf16[3]{0}), (f32[8]{0}, bf16[12]{0})) all-gather-start(%x, %y)
      %c = (f32[5]{0:T(8)S(1)}, f32[5]{0:T(8)}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x)
      %d = (f32[8]{0}, bf16[12]{0}) all-gather-done(%b)
      %e = ((f32[512,512]{1,0}), f32[128,512]{1,0}) reduce-scatter-start(%x), channel_id=1
      %f = ((u32[], /*index=1*/u32[]), (u32[4], u32[4]), s32[], s32[]) all-gather-start(%x, %y)
      %g = ((f32[3]{0}), f32[3]{0}, s32[]) all-reduce-start(%x), calls=%sum
      %h = pred[] all-reduce-start(%x)
    """  # noqa: E501
    numbers, sizes = count_collectives(collectives_of(program))
    assert numbers == {
        "all-reduce": 3,
        "all-gather": 2,
        "collective-permute": 1,
        "reduce-scatter": 1,
    }
    assert sizes == {
        "all-reduce": 4 * 32 + 20 + 12 + 1,
        "all-gather": 32 + 24 + 32,
        "collective-permute": 20,
        "reduce-scatter": 4 * 128 * 512,
    }


def test_collectives_of_loops_are_told_apart():
    """Those of a loop's condition, of its body and of what the body calls."""
    program = """
%sum (x: f32[], y: f32[]) -> f32[] {
  ROOT %add = f32[] add(%x, %y)
}

%inner (x: f32[4]) -> f32[4] {
  ROOT %r = f32[4]{0} all-reduce(%x), to_apply=%sum
}

%region_1.2_spmd.clone (x: f32[4]) -> f32[4] {
  %g = f32[8]{0} all-gather(%x)
  ROOT %c = f32[4]{0} conditional(%p, %g), branch_computations={%sum, %inner}
}

%region_3.4 (x: f32[4]) -> pred[] {
  ROOT %p = pred[] all-reduce(%q), to_apply=%sum
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %r = f32[4]{0} all-reduce(%x), to_apply=%sum
  ROOT %w = f32[4]{0} while(%r), condition=%region_3.4, body=%region_1.2_spmd.clone, metadata={}
}
    """
    numbers, sizes = count_collectives(collectives_of(program))
    assert numbers == {"all-reduce in a loop": 2, "all-gather in a loop": 1, "all-reduce": 1}
    assert sizes == {"all-reduce in a loop": 17, "all-gather in a loop": 32, "all-reduce": 16}


def test_bytes_in_loops_count_for_each_turn_of_each_loop():
    program = """
%inner_body (x: f32[4]) -> f32[4] {
  ROOT %r = f32[4]{0} all-reduce(%x), to_apply=%sum
}

%three (x: f32[4]) -> pred[] {
  %limit = s32[] constant(3)
  ROOT %p = pred[] compare(%i, %limit), direction=LT
}

%outer_body (x: f32[4]) -> f32[4] {
  %g = f32[8]{0} all-gather(%x)
  ROOT %w = f32[4]{0} while(%x), condition=%three, body=%inner_body
}

%five (x: f32[4]) -> pred[] {
  %limit = s32[] constant(5)
  ROOT %p = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (x: f32[4]) -> f32[4] {
  ROOT %w = f32[4]{0} while(%x), condition=%five, body=%outer_body
}
"""
    numbers, sizes = count_collectives(collectives_of(program))
    assert numbers == {"all-gather in a loop": 1, "all-reduce in a loop": 1}
    assert sizes == {"all-gather in a loop": 5 * 32, "all-reduce in a loop": 5 * 3 * 16}


def test_a_collective_beside_other_operations_counts_once_and_a_scatter_by_its_part():
    """As XLA writes both for TPUs: repeated in each fused operation beside it; summed, then cut."""
    group = "replica_groups=mesh['axis_0'=4,'axis_1'=2], device_ids=([2,4]T(1,0)) {'axis_0'}"
    program = """
%start (x: bf16[2,8]) -> (bf16[2,8], bf16[8,8]) {
  %a.1 = bf16[8,8]{1,0} all-gather(%x), channel_id=7, GROUP, dimensions={0}
  ROOT %b = (bf16[2,8], bf16[8,8]) custom-call(%a.1), custom_call_target="AsyncCollectiveStart"
}

%beside (x: bf16[2,8]) -> bf16[8,8] {
  %a.2 = bf16[8,8]{1,0} all-gather(%x), channel_id=7, GROUP, dimensions={0}
}

%done (x: bf16[2,8]) -> bf16[8,8] {
  %a.3 = bf16[8,8]{1,0} all-gather(%x), channel_id=7, GROUP, dimensions={0}
}

%all-reduce-scatter.1 (x: bf16[8,8]) -> bf16[2,8] {
  %r = bf16[8,8]{1,0} all-reduce(%x), channel_id=9, replica_groups={{0,1,2,3},{4,5,6,7}}
  ROOT %s = bf16[2,8]{1,0} dynamic-slice(%r, %i)
}

ENTRY %main (x: bf16[2,8]) -> bf16[2,8] {
  %s = (bf16[2,8], bf16[8,8]) fusion(%x), kind=kCustom, calls=%start
  %f = (bf16[2,8], bf16[8,8]) fusion(%s), kind=kCustom, calls=%beside
  %d = bf16[8,8] fusion(%f), kind=kCustom, calls=%done
  %all = f32[4] all-reduce(%y), channel_id=11, replica_groups=[1,8]<=[8], to_apply=%sum
  %one = f32[4] all-reduce(%y), to_apply=%sum
  ROOT %r = bf16[2,8] fusion(%d), kind=kCustom, calls=%all-reduce-scatter.1
}
""".replace("GROUP", group)
    found = {(one.kind, one.devices): one for one in collectives_of(program)}
    gather, scatter = found["all-gather", 4], found["reduce-scatter", 4]
    assert len(found) == len(collectives_of(program)) == 4
    assert gather.asynchronous and gather.bytes == 128 and gather.sent(8) == 128 * 3 / 4
    assert not scatter.asynchronous and scatter.bytes == 32 and scatter.sent(8) == 3 * 32
    assert found["all-reduce", 8].sent(8) == found["all-reduce", None].sent(8) == 16 * 2 * 7 / 8


@pytest.mark.slow
def test_a_checkpoint_is_saved_and_restored():
    (row,) = bench_checkpoint(CONFIG, [2], 2, QUIET)
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract_state(CONFIG)))
    assert row["batch"] == 2 and row["state, MB"] == pytest.approx(size / 1e6)
    held, step = row["save holds the training, s"], row["a step, s"]
    assert row["of a step"] == pytest.approx(held / step) and step > 0
    assert row["until on the disk, s"] > held > 0 and row["restore, s"] > 0


def test_folds_are_timed_stacked_and_one_by_one(monkeypatch):
    """By a clock that what is timed turns: compiling is left out, a fold counts for itself."""
    for name, value in {"CLIPS": 12, "FOLDS": 3, "FULL_FOLDS": 2}.items():
        monkeypatch.setattr(folds, name, value)
    now, ways, fit = [100.0], [], folds.linear_probe.fit

    def fitted(*arguments):
        stacked = arguments[-1]
        now[0] += (1.0 if stacked else 3.0) if stacked in ways else 50.0
        ways.append(stacked)
        return fit(*arguments)

    def passes(*arguments, after_epoch):
        network, _, read, label, together, train, decays, _ = arguments
        assert read["frames"].shape[:3] == (1, len(label), 2)
        batch_size = network.config.recognition.batch_size
        assert len(label) == 3 * batch_size, "three steps per epoch"
        assert train.shape == (len(together), len(label)) and len(decays) == len(together)
        for epoch, seconds in enumerate((60.0, 2.0 if len(together) == 1 else 2.5)):
            now[0] += seconds
            after_epoch(epoch, None)

    monkeypatch.setattr(folds, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(folds.linear_probe, "fit", fitted)
    monkeypatch.setattr(folds, "train", create_autospec(folds.train, side_effect=passes))
    config = tiny_config(loss__agreement="none", recognition__epochs=3, recognition__batch_size=4)
    row = {"backbone": "none (STSTNet)", "one by one, s": 8.0, "stacked, s": 2.0}
    monkeypatch.setattr(folds, "_ststnet", lambda *_: row)
    frozen, full, light = folds.bench_folds(config, 3, QUIET)
    assert light["ratio"] == 4.0
    assert ways == [False, False, True, True], "each once to compile, once timed"
    assert frozen == {
        "backbone": "frozen",
        "folds": 3,
        "one by one, s": 3.0,
        "stacked, s": 1.0,
        "ratio": 3.0,
    }
    assert full == {
        "backbone": "full",
        "folds": 2,
        "one by one, s": 2 * 2.0,
        "stacked, s": 2.5,
        "ratio": 1.6,
    }


@pytest.mark.slow
def test_the_folds_of_ststnet_are_timed(monkeypatch):
    monkeypatch.setattr(folds, "MEGC_CLIPS", 12)
    monkeypatch.setattr(folds, "MEGC_FOLDS", 3)
    monkeypatch.setattr(folds, "MEGC_EPOCHS", 2)
    monkeypatch.setattr(folds, "TIMED_FOLDS", 2)
    row = folds._ststnet(tiny_config(), QUIET)
    assert row["folds"] == 2 and row["one by one, s"] > 0 and row["stacked, s"] > 0

"""`mubert bench pod`: bounds of a compiled step, of chips that are not here."""

import json
import re
from pathlib import Path

import jax
import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.bench import chips, pod
from mubert_jax.bench.chips import CHIPS, Chip, chip_of, devices_of
from mubert_jax.bench.programs import count_fusions, memory_traffic
from mubert_jax.cli import main
from mubert_jax.config_files import load_config
from mubert_jax.errors import UserError
from mubert_jax.objectives import make_objective

CONFIG = tiny_config(loss__agreement="none", runtime__mesh=(-1, 1, 1))
CONFIGS = Path(__file__).parents[2] / "configs"
TINY, LARGE = str(CONFIGS / "demo.py"), str(CONFIGS / "large.py")
SLOW_CHIP = Chip(flops=1e9, bandwidth=1e9, memory=1e9, links=1e6, source="a tpu of a test")


def test_traffic_is_what_operations_read_and_write_outside_of_the_chip():
    program = """
%fused (x: f32[4]) -> f32[4] {
  ROOT %add = f32[4]{0} add(%x, %x)
}

ENTRY %main (a: f32[4,8], b: bf16[10]) -> f32[4,8] {
  %a = f32[4,8]{1,0:T(8,128)} parameter(0)
  %b = bf16[10]{0} parameter(1)
  %own = f32[4,8]{1,0:T(8,128)S(1)} fusion(%a), kind=kLoop, calls=%fused, metadata={op_name="(%b)"}
  %named = f32[32]{0:T(8,128)S(1)} bitcast(%own)
  %joined = f32[32]{0} custom-call(%named, %named), custom_call_target="ConcatBitcast"
  ROOT %out = (f32[4,8]{1,0}, bf16[10]{0}) fusion(%own, %b, %b), kind=kLoop, calls=%fused
}
"""
    assert memory_traffic(program) == 4 * 32 + (4 * 32 + 20 + 2 * 20)


def test_a_copy_into_the_chip_counts_once_and_a_slice_by_its_size():
    program = """
ENTRY %main (a: f32[64]) -> f32[64] {
  %a = f32[64]{0} parameter(0)
  %copy = (f32[64]{0:S(1)}, f32[64]{0}, u32[]{:S(2)}) copy-start(%a)
  %there = f32[64]{0:S(1)} copy-done(%copy)
  %slice = ((f32[64]{0}), f32[16]{0:S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:16]}
  ROOT %part = f32[16]{0:S(1)} slice-done(%slice)
}
"""
    assert memory_traffic(program) == 4 * 64 + 4 * 16


def test_what_a_loop_moves_counts_for_each_turn():
    program = """
%body.1 (x: (s32[], f32[8])) -> (s32[], f32[8]) {
  %x = (s32[], f32[8]{0}) parameter(0)
  %r = f32[8]{0} get-tuple-element(%x), index=1
  %y = f32[8]{0} negate(%r)
  ROOT %t = (s32[], f32[8]{0}) tuple(%i, %y)
}

%condition.1 (x: (s32[], f32[8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(7)
  ROOT %p = pred[] compare(%i, %limit), direction=LT
}

%condition.2 (x: (s32[], f32[8])) -> pred[] {
  ROOT %p = pred[] or(%i, %q)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %w = (s32[], f32[8]{0}) while(%a), condition=%condition.1, body=%body.1
  %v = (s32[], f32[8]{0}) while(%w), condition=%condition.2, body=%body.1
}
"""
    assert memory_traffic(program) == 7 * 64 + 64


def test_fusions_are_counted_and_not_what_is_in_them():
    program = """
%fused (x: f32[4]) -> f32[4] {
  ROOT %fusion = f32[4]{0} add(%x, %x)
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %one = f32[4]{0} fusion(%a), kind=kLoop, calls=%fused
  ROOT %fusion.2 = (f32[4]{0}, f32[4]{0}) fusion(%one, %a), kind=kInput, calls=%fused
}
"""
    assert count_fusions(program) == 2


@pytest.fixture
def two_slow_chips(monkeypatch):
    monkeypatch.setattr(pod, "chip_of", lambda _: SLOW_CHIP)
    monkeypatch.setattr(pod, "devices_of", lambda _: jax.devices()[:2])


def test_the_largest_bound_is_what_the_utilisation_may_be(two_slow_chips):
    (row,) = pod.bench_pod(CONFIG, ["slow:2"], 3, Console(quiet=True))
    counted = 3 * make_objective(CONFIG).flops_per_pair()
    assert row["pairs per chip"] == 3 and row["compiled"].startswith("in ")
    assert row["TFLOP, counted"] == pytest.approx(counted / 1e12)
    assert row["bound by products, ms"] == pytest.approx(counted / 1e6)
    assert row["GB moved per pair"] == pytest.approx(row["bound by memory, ms"] / 1e3 / 3)
    # The gradients are summed: each of two chips sends as many bytes as there are.
    megabytes = re.fullmatch(r"\d all-reduce \((.*) MB\)", row["collectives"])[1]
    assert float(megabytes) == pytest.approx(row["MB of collectives"], rel=0.01)
    assert row["bound by links, ms"] == pytest.approx(row["MB of collectives"] * 1e3)
    bounds = [row[f"bound by {name}, ms"] for name in ("products", "memory", "links")]
    assert max(bounds) == bounds[2]
    assert row["MFU allowed"] == pytest.approx(bounds[0] / bounds[2])
    assert row["share of the memory"] == pytest.approx(row["planned GB"])


def test_a_program_that_xla_refuses_is_a_row_and_not_the_end(
    two_slow_chips, monkeypatch, tmp_path, capsys
):
    class Compiled:
        def compile(self, **_):
            if self.refused:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 20 G of 16 G\nand more")
            return "a program"

    programs = iter([True, False])

    def lowered(*_):
        program = Compiled()
        program.refused = next(programs)
        return program

    monkeypatch.setattr(pod, "lowered_step", lowered)
    monkeypatch.setattr(pod, "bounds", lambda *_: {"kernels": None, "MFU allowed": 0.5})
    output = tmp_path / "pod.json"
    topologies = ["--topology", "a:2", "b:2", "--batch-size=3"]
    assert main(["bench", "pod", *topologies, f"--output={output}", "--config=" + TINY]) == 0
    first, second = json.loads(output.read_text())
    assert first["compiled"] == "RESOURCE_EXHAUSTED: 20 G of 16 G" and "kernels" not in first
    assert second["MFU allowed"] == 0.5
    shown = " ".join(capsys.readouterr().out.split())
    assert "MFU allowed - 0.5" in shown and "kernels - -" in shown


def test_a_step_is_compiled_for_the_mesh_of_its_config(two_slow_chips, monkeypatch):
    """A config that splits its parameters was once compiled as if every chip held them all."""
    seen = []

    class Refused:
        def compile(self, **_):
            raise jax.errors.JaxRuntimeError("not compiled")

    monkeypatch.setattr(pod, "lowered_step", lambda config, _: seen.append(config) or Refused())
    large = load_config(LARGE, [])
    assert main(["bench", "pod", "--config=" + LARGE, "--topology", "a:2"]) == 0
    assert seen[0].runtime.mesh == large.runtime.mesh == (-1, 8, 1)
    assert seen[0].runtime.sharding == large.runtime.sharding


@pytest.mark.parametrize("topology", ["v9:2x4", "v5e", "v5e:", "v5e:2xmany", "h100:-1"])
def test_a_topology_that_there_is_not_is_one_line(topology, capsys):
    assert main(["bench", "pod", "--topology", topology]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"--topology {topology}: CHIP:SHAPE" in said


@pytest.mark.parametrize("topology, needed", [("v5e:2x4", "libtpu"), ("h200:1x1x1", "CUDA")])
def test_a_compiler_that_is_not_installed_is_named(topology, needed, monkeypatch):
    def none(*_, **__):
        raise RuntimeError("no such plugin\n  at 0x00")

    monkeypatch.setattr(chips.topologies, "get_topology_desc", none)
    with pytest.raises(UserError, match=rf"\(no such plugin\); .*{needed}.*mubert_jax\[aot\]"):
        devices_of.__wrapped__(topology)


@pytest.mark.parametrize("name", [name for name in CHIPS if name.startswith("h")])
def test_gpus_are_described(name):
    assert chip_of(f"{name}:1x1x1").options["xla_gpu_autotune_level"] == "0"
    described = (chips.TARGETS / f"{name}.txtpb").read_text()
    assert f"NVIDIA {name.upper()}" in described and "cuda_compute_capability" in described

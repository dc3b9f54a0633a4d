#!/usr/bin/env bash
# All that is to be measured on one CUDA GPU, in under 9 minutes, without network:
#   bash launch/bench_gpu.sh OUT
# Needs a Python with JAX (CUDA), Flax, Optax, Orbax and PyTorch, and what mubert imports; PYTHON
# names it. Every figure goes to OUT/*.json, what is printed to OUT/log.txt; each part has a limit of
# time of its own, so that one that fails or hangs does not take the others with it.
set -uo pipefail
out="$(realpath -m "${1:?where to: bash launch/bench_gpu.sh OUT}")"
cd "$(dirname "$0")/.." || exit 2
mkdir -p "$out"
python="${PYTHON:-python3}"
export PYTHONPATH="$PWD" XLA_PYTHON_CLIENT_PREALLOCATE=false
export JAX_COMPILATION_CACHE_DIR="$out/compiled"

part() { # seconds name arguments of mubert
  local limit="$1" name="$2"
  shift 2
  echo "== $name"
  if timeout "$limit" "$python" -c 'import sys; from mubert_jax.cli import main; sys.exit(main())' "$@"
  then
    echo "== $name: done"
  else
    echo "== $name: NOT measured (exit code $?)"
  fi
}

plain=(--config.loss.agreement=none --config.loss.warp_weight=0 --config.loss.expectation_weight=0)
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  "$python" -c 'import jax, torch; print("jax", jax.__version__, "torch", torch.__version__)'
  part 150 step-bf16 bench step --config=configs/pretrain.py --batch-size 16 64 256 --steps 10 \
    "${plain[@]}" --peer torch torch-sdpa torch-compile --output="$out/step-bf16.json"
  part 90 step-f32 bench step --config=configs/pretrain.py --batch-size 16 64 --steps 5 \
    "${plain[@]}" --config.model.dtype=float32 --peer torch torch-sdpa --output="$out/step-f32.json"
  part 60 step-beyond bench step --config=configs/beyond.py --batch-size 64 256 --steps 10 \
    --output="$out/step-beyond.json"
  part 60 step-dino bench step --config=configs/pretrain.py --batch-size 64 --steps 10 \
    --output="$out/step-dino.json"
  for size in 112 448; do
    part 45 "step-$size" bench step --config=configs/pretrain.py --batch-size 16 --steps 5 \
      "${plain[@]}" --config.model.image_size="$size" --output="$out/step-$size.json"
  done
  part 40 input bench input --batch-size 64 --seconds 3 --output="$out/input.json"
} 2>&1 | tee "$out/log.txt"

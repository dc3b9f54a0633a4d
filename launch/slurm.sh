#!/usr/bin/env bash
# Pretraining on a SLURM cluster, one process per node (JAX uses every GPU of it):
#   sbatch --nodes=4 --gpus-per-node=8 launch/slurm.sh --config=configs/beyond.py \
#       --workdir=/shared/runs/mubert --config.data.path=/shared/data/frames
# One process per GPU, or one for a few of them, instead:
#   sbatch --nodes=4 --gpus-per-node=8 --ntasks-per-node=8 launch/slurm.sh ...
# --workdir and the data lie on a file system that all nodes share. Preempted, or with a node lost,
# SLURM starts the same job again, and it goes on from its last checkpoint, on as many nodes as it
# then gets (sbatch --nodes=2-8).
#SBATCH --job-name=mubert
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@180
#SBATCH --output=mubert-%j.log
set -uo pipefail
cd "${SLURM_SUBMIT_DIR:?start with sbatch}" || exit 2
[ $# -ge 2 ] || { echo "usage: sbatch launch/slurm.sh --config=FILE --workdir=DIR [...]" >&2; exit 2; }

export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$PWD/.jax_cache}"
# From O1 on XLA overlaps collectives with compute.
export JAX_OPTIMIZATION_LEVEL="${JAX_OPTIMIZATION_LEVEL:-O1}"
# srun does not take it from sbatch.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-16}"

# --signal reaches the steps of srun, which JAX listens to; --kill-on-bad-exit ends the others when
# one is gone. srun then ends with the code of those it killed; so a process that must not be started
# again leaves its code in a file's name.
VERDICT="$PWD/.mubert-$SLURM_JOB_ID"
export VERDICT
rm -f "$VERDICT".*
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 --wait=60 bash -c '
  trap : TERM INT # bash waits for mubert, which saves
  "$@"
  code=$?
  case "$code" in 2 | 73) : >"$VERDICT.$code" ;; esac
  exit "$code"' bash "${MUBERT:-.venv/bin/mubert}" pretrain --pod "$@"
code=$?
for final in 2 73; do
  [ ! -e "$VERDICT.$final" ] || code="$final"
done
rm -f "$VERDICT".*

# 0: done. 2: a mistake, 73: a full disk or a quota used up; another start repeats them. The rest:
# start again.
case "$code" in
  0 | 2 | 73) exit "$code" ;;
esac
if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_RESTARTS:=100}" ]; then
  echo "mubert ended with $code, after $SLURM_RESTART_COUNT starts; no more (MAX_RESTARTS)"
  exit "$code"
fi
echo "mubert ended with $code; asking SLURM to start job $SLURM_JOB_ID again"
scontrol requeue "$SLURM_JOB_ID"

#!/usr/bin/env bash
# Pretraining on a Cloud TPU VM or pod slice: installs and starts on all workers.
#   bash launch/tpu_vm.sh NAME ZONE --config=configs/beyond.py --workdir=/mnt/shared/runs/mubert \
#       --config.data.path=/mnt/shared/data/frames
# NAME is a TPU that exists: gcloud compute tpus tpu-vm create NAME --zone=ZONE \
#       --accelerator-type=v5litepod-32 --version=v2-alpha-tpuv5-lite
# Every worker mounts /mnt/shared (Filestore, say); mubert takes no gs://BUCKET. The data may lie on a
# read-only disk. Started again, it goes on.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
name="$1" zone="$2"
shift 2
for argument in "$@"; do
  case "$argument" in
    *=file:///*) ;;
    *://*)
      echo "$argument: give a folder that every worker mounts, no bucket" >&2
      exit 2
      ;;
  esac
done
cd "$(dirname "$0")/.."

archive="$(mktemp --suffix=.tar.gz)"
trap 'rm -f "$archive"' EXIT
git archive --format=tar.gz --output="$archive" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$name:/tmp/mubert.tar.gz" --zone="$zone" --worker=all

printf -v arguments ' %q' "$@"
code=0
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="
set -e
mkdir -p ~/mubert && tar -xzf /tmp/mubert.tar.gz -C ~/mubert && cd ~/mubert
[ -x .venv/bin/mubert ] || { python3 -m venv .venv && .venv/bin/pip install -q -e '.[tpu]'; }
export JAX_COMPILATION_CACHE_DIR=~/.jax_cache
exec .venv/bin/mubert pretrain --pod$arguments" || code=$?
case "$code" in
  0 | 2 | 73) ;;
  *) echo "ended with $code; the same command goes on from the last checkpoint" >&2 ;;
esac
exit "$code"

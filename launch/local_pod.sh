#!/usr/bin/env bash
# One pod on this machine: N processes with D virtual CPU devices each, through jax.distributed on
# the loopback interface.
#   bash launch/local_pod.sh N D pretrain --config=FILE --workdir=DIR ...
# Ends with the exit code of a process that failed: rather with 2 (a mistake) or 73 (a full disk) than
# with that of another, which only lost it. SIGTERM goes to all.
set -uo pipefail
[ $# -ge 3 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
count="$1" devices="$2"
shift 2
mubert="${MUBERT:-$(dirname "$0")/../.venv/bin/mubert}"
port="${PORT:-$("$(dirname "$mubert")/python" -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])')}"
export JAX_PLATFORMS=cpu JAX_COORDINATOR_ADDRESS="127.0.0.1:$port" JAX_NUM_PROCESSES="$count"
export XLA_FLAGS="--xla_force_host_platform_device_count=$devices"

children=()
for ((i = 0; i < count; i++)); do
  JAX_PROCESS_ID="$i" "$mubert" "$@" --pod &
  children+=($!)
done
trap 'kill -TERM "${children[@]}" 2>/dev/null' TERM INT

status=0
for child in "${children[@]}"; do
  while kill -0 "$child" 2>/dev/null; do wait "$child"; done
  wait "$child"
  code=$?
  case "$status,$code" in
    0,* | *,2 | *,73) status="$code" ;;
  esac
done
exit "$status"

#!/usr/bin/env bash
# Installs what the tests need into .venv, checks style and types, runs the tests (slow ones: -m slow).
# With -m aot: compiles every config's programs for an H100 and for eight v5e, none of which is
# needed; into .venv-aot, 7 GB. One program at a time; a part of them: -m aot -k "h100 and mae".
# With -m mutants: changes the code in many small ways and wants a test to fail for each; Cosmic Ray
# makes the changes, in .venv-mutants. Hours; a part of them: MUTANTS=25 ... -m mutants -k losses.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

if [[ " $* " == *" -m aot "* ]]; then
  install_mubert aot .venv-aot
  exec .venv-aot/bin/python -m pytest tests/aot "$@"
fi
if [[ " $* " == *" -m mutants "* ]]; then
  install_mubert test,mutants .venv-mutants
  exec .venv-mutants/bin/python -m pytest tests/mutants "$@"
fi

install_mubert test

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyrefly check
exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"

#!/usr/bin/env bash
# Installs what the tests need into .venv, checks style, runs the tests (slow ones: -m slow).
# With -m mutants: changes the code in many small ways and wants a test to fail for each; Cosmic Ray
# makes the changes, in .venv-mutants. Hours; a part of them: MUTANTS=25 ... -m mutants -k losses.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

if [[ " $* " == *" -m mutants "* ]]; then
  install_mubert test,mutants .venv-mutants
  exec .venv-mutants/bin/python -m pytest tests/mutants "$@"
fi

install_mubert test

.venv/bin/ruff check .
.venv/bin/ruff format --check .
exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"

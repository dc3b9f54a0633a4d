#!/usr/bin/env bash
# Installs what the tests need into .venv, checks style, runs the tests (slow ones: -m slow).
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
install_mubert test

.venv/bin/ruff check .
.venv/bin/ruff format --check .
exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"

# shellcheck shell=bash
# Sourced by the scripts beside it: makes a virtual environment, .venv, with the extras asked for.
#   install_mubert                what a user needs
#   install_mubert test           what the tests need, too
#   install_mubert aot .venv-aot  the same in a folder of its own

install_mubert() {
  local extra="${1:-}" folder="${2:-.venv}" python
  python="$(find_python)" || return 1
  [ -x "$folder/bin/python" ] || "$python" -m venv "$folder" || return 1
  local wanted
  wanted="$extra $(cat setup.cfg pyproject.toml constraints.txt | cksum)"
  grep -qxF "$wanted" "$folder/installed" 2>/dev/null && return 0
  echo "Installing into $folder (a few minutes, once)"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade \
    --constraint constraints.txt --editable ".${extra:+[$extra]}" || return 1
  echo "$wanted" >>"$folder/installed"
}

find_python() {
  local name
  for name in "${PYTHON:-python3}" python3.11 python3.12 python3.13; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
    then
      echo "$name"
      return 0
    fi
  done
  echo "Python 3.11, 3.12 or 3.13 is needed; none found (set PYTHON=/path/to/python)" >&2
  return 1
}

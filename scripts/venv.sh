#!/usr/bin/env bash
# Make .venv what requirements/dev.lock says, and install orderd into it in place.
# Plain pip, wheels only: every file is checked against its hash and nothing that is not in the lock is fetched or built.
#   PYTHON=python3.12 scripts/venv.sh     with a Python of your choice (3.11 or later)
set -euo pipefail
cd "$(dirname "$0")/.."

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    is_recent "$PYTHON" && { echo "$PYTHON"; return; }
    echo "orderd needs Python 3.11 or later; PYTHON=$PYTHON is $("$PYTHON" --version 2>/dev/null || echo 'not to be found')" >&2
    return 1
  fi
  for candidate in python3 python3.13 python3.12 python3.11; do
    is_recent "$candidate" && { echo "$candidate"; return; }
  done
  echo "orderd needs Python 3.11 or later and found $(python3 --version 2>/dev/null || echo 'no python3')." >&2
  echo "Install one, or name one: make PYTHON=/path/to/python3.12 ..." >&2
  return 1
}

if ! is_recent .venv/bin/python; then
  python=$(find_python)
  "$python" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "$python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)." >&2
    exit 1
  }
  "$python" -m venv --clear .venv
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
pip install --only-binary :all: --require-hashes --requirement requirements/dev.lock
pip install --no-deps --no-build-isolation --editable .

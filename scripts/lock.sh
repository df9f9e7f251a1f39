#!/usr/bin/env bash
# Resolve pyproject.toml's ranges into requirements/*.lock: exact versions with hashes, for every supported Python.
# No index address and no path of this machine is written into the files.
#   scripts/lock.sh               keep what is locked, add what is missing
#   scripts/lock.sh --upgrade     take the newest of everything
set -euo pipefail
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}

compile() {
  "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

compile pyproject.toml --extra dev --output-file requirements/dev.lock "$@"
compile pyproject.toml --constraint requirements/dev.lock --output-file requirements/runtime.lock "$@"
# Only for those who fuzz: `make fuzz` puts it beside .venv, not into it.
compile requirements/fuzz.in --output-file requirements/fuzz.lock "$@"
# Only for those who mutate: `make mutate` puts it beside .venv; what .venv has too is the same version.
compile requirements/mutation.in --constraint requirements/dev.lock --output-file requirements/mutation.lock "$@"

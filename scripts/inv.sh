#!/usr/bin/env bash
# Runs `inv` of this project's environment, for the other scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/inv ] || { echo '.venv is missing: run make bootstrap' >&2 && exit 1; }
exec .venv/bin/inv "$@"

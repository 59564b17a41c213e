#!/usr/bin/env bash
# `inv` of this project's environment, for the scripts beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/inv ] || { echo 'there is no Python environment here yet: make bootstrap' >&2 && exit 1; }
exec .venv/bin/inv "$@"

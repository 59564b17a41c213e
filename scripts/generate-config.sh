#!/usr/bin/env bash
# Writes the artifacts of a stack to generated/<stack>/: `inv config.render` as a script.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/generate-config.sh [options of inv config.render, such as --env=prod --cloud=aws, --all or --check]"
case ${1:-} in
    -h | --help) echo "$usage" && exit ;;
    '' | --*) ;;
    *) echo "$usage" >&2 && exit 2 ;;
esac
exec scripts/inv.sh config.render "$@"

#!/usr/bin/env bash
# Pushes the lab's image to a cloud's registry: `inv image.push` as a script.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/push-image.sh aws|azure|gcp|local [options of inv image.push, such as --env=prod --gpu]"
case ${1:-} in
    aws | azure | gcp | local) ;;
    -h | --help) echo "$usage" && exit ;;
    *) echo "$usage" >&2 && exit 2 ;;
esac
exec scripts/inv.sh image.push --cloud="$1" "${@:2}"

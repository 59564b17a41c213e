#!/usr/bin/env bash
# Deploys a stack: the tasks of compose, tf and k8s, for people who expect a script. Exit codes are those of the tasks.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/deploy.sh compose up|down|restart|logs|ps|shell|pull|config
       scripts/deploy.sh terraform aws|azure|gcp init|validate|plan|apply|destroy|output
       scripts/deploy.sh kubernetes CLOUD-ENV build|diff|apply|delete|status|logs|wait|restart|rollback|secrets
       followed by options of the task, such as --env=prod, --dry or --yes"

refuse() {
    echo "deploy.sh: $1"$'\n'"$usage" >&2
    exit 2
}
# one_of WORD CHOICE...: whether it is one of them
one_of() {
    local word=$1
    shift
    [[ " $* " == *" $word "* && -n $word && $word != *' '* ]]
}

# The cloud in a stack's name: both its parts may have hyphens, so it is the longest that there is a file for.
cloud_of() {
    local file name found=${1%%-*}
    for file in conf/clouds/*.yaml; do
        name=$(basename "$file" .yaml)
        if [[ $1 == "$name"-* && ${#name} -gt ${#found} ]]; then found=$name; fi
    done
    echo "$found"
}

case ${1:-} in
    -h | --help) echo "$usage" && exit ;;
    compose)
        one_of "${2:-}" up down restart logs ps shell pull config || refuse "compose does not know '${2:-}'"
        exec scripts/inv.sh "compose.$2" "${@:3}"
        ;;
    terraform)
        one_of "${2:-}" aws azure gcp || refuse "terraform knows no cloud '${2:-}'"
        one_of "${3:-}" init validate plan apply destroy output || refuse "terraform does not know '${3:-}'"
        exec scripts/inv.sh "tf.$3" --cloud="$2" "${@:4}"
        ;;
    kubernetes)
        [[ ${2:-} == ?*-?* ]] || refuse "'${2:-}' is no stack, such as aws-prod"
        one_of "${3:-}" build diff apply delete status logs wait restart rollback secrets ||
            refuse "kubernetes does not know '${3:-}'"
        cloud=$(cloud_of "$2")
        exec scripts/inv.sh "k8s.$3" --cloud="$cloud" --env="${2#"$cloud"-}" "${@:4}"
        ;;
    *) refuse "deploys by compose, terraform or kubernetes, and not by '${1:-}'" ;;
esac

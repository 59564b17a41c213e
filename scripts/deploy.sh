#!/usr/bin/env bash
# Deploys a stack with the tasks of compose, tf and k8s, as a script. Exit codes are those of the tasks.
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
# one_of WORD CHOICE...: whether the word is one of the choices
one_of() {
    local word=$1
    shift
    [[ " $* " == *" $word "* && -n $word && $word != *' '* ]]
}

# Print the cloud in a stack's name. Both parts may contain hyphens, so it is the longest cloud that has a file.
cloud_of() {
    local file name cloud=${1%%-*}
    for file in conf/clouds/*.yaml; do
        name=$(basename "$file" .yaml)
        if [[ $1 == "$name"-* && ${#name} -gt ${#cloud} ]]; then cloud=$name; fi
    done
    echo "$cloud"
}

case ${1:-} in
    -h | --help) echo "$usage" && exit ;;
    compose)
        one_of "${2:-}" up down restart logs ps shell pull config || refuse "unknown compose command '${2:-}'"
        exec scripts/inv.sh "compose.$2" "${@:3}"
        ;;
    terraform)
        one_of "${2:-}" aws azure gcp || refuse "unknown cloud '${2:-}'"
        one_of "${3:-}" init validate plan apply destroy output || refuse "unknown terraform command '${3:-}'"
        exec scripts/inv.sh "tf.$3" --cloud="$2" "${@:4}"
        ;;
    kubernetes)
        [[ ${2:-} == ?*-?* ]] || refuse "'${2:-}' is not a stack such as aws-prod"
        one_of "${3:-}" build diff apply delete status logs wait restart rollback secrets ||
            refuse "unknown kubernetes command '${3:-}'"
        cloud=$(cloud_of "$2")
        exec scripts/inv.sh "k8s.$3" --cloud="$cloud" --env="${2#"$cloud"-}" "${@:4}"
        ;;
    *) refuse "unknown target '${1:-}': use compose, terraform or kubernetes" ;;
esac

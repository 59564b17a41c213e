#!/usr/bin/env bash
# Prepares a machine for the lab: the Python environment in .venv, and a container engine with Compose and buildx.
# Checks the machine, prints a plan, asks for confirmation, and executes only that plan. Also runs on macOS's bash 3.2.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/bootstrap.sh [--yes] [--no-engine] [--online | --offline]
  --yes        do not ask (nor with CI=true)
  --no-engine  the Python environment only
  --online     images can be pulled: do not check whether a registry answers
  --offline    images can't be pulled: prepare to build the base image locally

PYTHON=…  the interpreter to use (default: the newest from 3.11 on); DEVAI_ENGINE_DIR=…  see scripts/engine.sh"

say() { echo "bootstrap: $*" >&2; }
fail() { say "$*" && exit 1; }

yes=${CI:-} engine=true images='' # images: `pulled`, or `built` if no registry answers
for option in "$@"; do
    case $option in
        --yes) yes=true ;;
        --no-engine) engine=false ;;
        --online) images=pulled ;;
        --offline) images=built ;;
        -h | --help) echo "$usage" && exit ;;
        *) echo "bootstrap: unknown option $option; --help lists the options" >&2 && exit 2 ;;
    esac
done
socket=/var/run/docker.sock
if [ -n "${DEVAI_ENGINE_DIR:-}" ]; then
    socket=$DEVAI_ENGINE_DIR/run/docker.sock
    export DOCKER_HOST="${DOCKER_HOST:-unix://$socket}"
fi
endpoint() { docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null; }
# Like `engine.name: auto`: use Podman if it has a socket and the socket of Docker's context is missing.
name=Docker podman=/run/podman/podman.sock
[ "$(id -u)" -eq 0 ] || podman=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/podman/podman.sock
if $engine && [ -z "${DOCKER_HOST:-}" ] && [ -e "$podman" ]; then
    address=$(endpoint) || address=unix://
    if [[ $address == unix://* && ! -e ${address#unix://} ]]; then name=Podman && export DOCKER_HOST="unix://$podman"; fi
fi

# --- Checks
stamp=.venv/.bootstrap
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; } # Debian has no sbin on a user's PATH

# at_least 2020 "v2.40.3-desktop.1": whether the first two numbers of a version are at least 2.20
at_least() { [[ $2 =~ ([0-9]+)\.([0-9]+) ]] && ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] >= $1)); }

# Everything that the environment depends on, including its path, which is in the first line of its programs.
stamp_content() { echo "$images $PWD $(cat setup.cfg pyproject.toml 2>/dev/null | cksum)"; }

environment_ready() {
    [ -x .venv/bin/python ] && [ -f $stamp ] || return
    [ -n "$images" ] || read -r images _ <$stamp
    [ "$(cat $stamp)" = "$(stamp_content)" ]
}

# The three queries run in parallel: each takes 60 ms, and every `make` runs them.
engine_state() {
    exec 3< <(docker version --format '{{.Server.Version}}' 2>&1)
    exec 4< <(docker compose version --short 2>/dev/null) 5< <(docker buildx version 2>/dev/null)
    server=$(cat <&3) compose=$(cat <&4) buildx=$(cat <&5)
    exec 3<&- 4<&- 5<&-
    case $server in
        [0-9]*) state=answers ;;
        *'permission denied'*) state=forbidden ;;
        *) state=silent ;;
    esac
    plugins=false
    if at_least 2020 "$compose" && at_least 12 "$buildx"; then plugins=true; fi
}

# The newest interpreter that can create an environment; else the newest one without the venv module.
makes_venvs() { has uv || "${1:-false}" -c 'import ensurepip, venv' 2>/dev/null; }
find_python() {
    local name second=''
    for name in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        makes_venvs "$name" && echo "$name" && return
        second=${second:-$name}
    done
    echo "$second"
}

registry_answers() {
    local url=https://registry-1.docker.io/v2/ # a 401 counts as an answer
    if has curl; then
        curl --silent --output /dev/null --max-time 5 "$url"
    elif has python3; then
        [[ $(python3 -c "import urllib.request as r; r.urlopen('$url', timeout=5)" 2>&1) == *HTTPError* ]]
    else
        timeout 5 bash -c '</dev/tcp/registry-1.docker.io/443' 2>/dev/null
    fi
}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
may_be_root() { [ "$(id -u)" -eq 0 ] || { has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }
debian=false
if has apt-get && grep -qsE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release && may_be_root; then debian=true; fi

# --- Plan
plan='' tasks='' packages='' advice=''
step() { tasks="$tasks $1" plan="$plan  - $2"$'\n'; }
advise() { advice="$advice  - $*"$'\n'; }

if ! environment_ready; then
    if [ -z "$images" ]; then
        if registry_answers; then images=pulled; else images=built; fi
    fi
    python=$(find_python)
    if makes_venvs "$python"; then :; elif $debian; then
        step python 'install Python with its venv module (apt, as root)'
    else
        advise 'Python 3.11 or newer with its venv module: brew install python@3.13 on macOS, apt-get install' \
            'python3-venv as root on Debian and Ubuntu, else the package of your distribution'
    fi
    [ -n "$advice" ] || step environment 'create or update the Python environment in .venv (an incomplete one is replaced)'
fi

if $engine; then
    engine_state
    if [ $name = Podman ] && [[ $(docker --version 2>&1) != Docker* ]]; then # podman-docker's `docker` has no bake
        state=elsewhere
        if $debian && at_least 0 "$(apt-cache policy docker-cli | grep Candidate:)"; then
            step packages "install Docker's command line, for Podman (apt, as root)" && packages=docker-cli
        else
            advise "Docker's command line, for Podman: docker-ce-cli of https://docs.docker.com/engine/install/"
        fi
    elif [ $state = silent ]; then
        address=$(endpoint) || address=${DOCKER_HOST:-}
        if [ "${address:-unix://$socket}" != "unix://$socket" ]; then
            advise "the engine at $address, which DOCKER_HOST or Docker's context selects: start it" && state=elsewhere
        fi
    fi
    if $debian; then
        if [ $state = silent ]; then
            has dockerd || step packages 'install the Docker engine (apt, as root)'
            has dockerd || packages='docker.io ca-certificates iproute2'
            step start 'start the Docker engine (as root)'
        fi
        $plugins || step plugins 'install the Compose and buildx plugins of Docker (apt, as root)'
        if [ "$images" = built ] && ! { has debootstrap && has tar; }; then
            step packages 'install debootstrap: no image registry answers, so images are built here (apt, as root)'
            packages="$packages debootstrap debian-archive-keyring tar"
        fi
    elif [ $state = silent ] || ! $plugins; then
        case $(uname) in
            Darwin) advise 'a running engine with Compose and buildx: Docker Desktop (https://docs.docker.com/desktop/), or' \
                'brew install colima docker docker-compose docker-buildx, and then: colima start' ;;
            *) advise 'a running engine, and the docker command with its plugins Compose (from 2.20 on) and buildx' \
                "(from 0.12 on): by your distribution's packages or https://docs.docker.com/engine/install/" ;;
        esac
    fi
fi
[ -n "$tasks$advice" ] || [ "${state:-}" = forbidden ] || exit 0

# --- Execution
apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
        install --yes --no-install-recommends "$@" >/dev/null # errors are printed on stderr
}

# Debian packages venv separately; Ubuntu 22.04 has 3.11 in addition to its default 3.10.
install_python() {
    local name
    for name in ${python##*/} python3 python3.11; do
        apt_install "$name" "$name-venv" || continue
        python=$(find_python)
        if makes_venvs "$python"; then return; fi
    done
    fail 'this distribution has no Python 3.11 or newer: install one, and set PYTHON= to its path'
}

# The stamp is written after success. Without it, or at another path, the environment may be incomplete.
install_environment() {
    if [ ! -x .venv/bin/python ] || ! grep -qsF " $PWD " $stamp || ! { has uv || [ -x .venv/bin/pip ]; }; then
        rm -rf .venv
        if has uv; then uv venv --quiet --python "${python:-3.13}" .venv; else "$python" -m venv .venv; fi
    fi
    rm -f $stamp
    local extras=tools,dev
    if [ "$images" = built ]; then extras=$extras,offline; fi
    pip_install --editable ".[$extras]"
    stamp_content >$stamp
}
pip_install() {
    if has uv; then set -- uv pip install --python .venv/bin/python "$@"; else set -- .venv/bin/pip install "$@"; fi
    "$@" --quiet
}

# Print the first package that apt has in a sufficient version.
candidate() {
    local least=$1 name
    shift
    for name in "$@"; do
        at_least "$least" "$(apt-cache policy "$name" | grep Candidate:)" && echo "$name" && return
    done
}

install_plugins() {
    local names mirror work
    if names=$(candidate 2020 docker-compose-plugin docker-compose-v2 docker-compose) &&
        names="$names $(candidate 12 docker-buildx-plugin docker-buildx)"; then
        # shellcheck disable=SC2086 # two words
        apt_install $names
        return
    fi
    # Debian 12 has no sufficient version, but the plugins of Debian 13 run on it. They are downloaded from apt's mirror
    # and unpacked separately, so that apt's configuration keeps only one release.
    # shellcheck disable=SC2016 # apt's variable
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p)
    [ -n "$mirror" ] || fail 'apt has no Compose 2.20 and buildx 0.12: see https://docs.docker.com/engine/install/'
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
    set -- -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root
    (cd "$work" && apt-get "$@" update && apt-get "$@" download docker-compose docker-buildx) >&2
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work"; done
    as_root mkdir -p /usr/local/lib/docker/cli-plugins
    as_root cp "$work"/usr/libexec/docker/cli-plugins/* /usr/local/lib/docker/cli-plugins/
    rm -rf "$work"
}

install_start() {
    if [ -d /run/systemd/system ] && [ -z "${DEVAI_ENGINE_DIR:-}" ]; then
        as_root systemctl start docker
    else
        as_root env "DEVAI_ENGINE_DIR=${DEVAI_ENGINE_DIR:-}" scripts/engine.sh start
    fi
}

if [ -n "$plan" ]; then
    printf 'bootstrap: to do on this machine:\n%s' "$plan" >&2
    if [ "$yes" != true ]; then
        [ -t 0 ] || fail 'no terminal to ask on: use --yes to continue without asking'
        read -r -p 'continue? [y/N] ' answer || true
        case ${answer:-} in [yY]*) ;; *) fail 'nothing was changed' ;; esac
    fi
    case $tasks in
        *packages* | *plugins* | *python*) as_root apt-get -qq update >&2 || say 'apt-get update failed: continuing with the existing package lists' ;;
    esac
    # shellcheck disable=SC2086 # a list of names
    if [ -n "$packages" ]; then apt_install $packages; fi
    case $packages in docker.io*) has docker || apt_install docker-cli ;; esac # part of docker.io until Debian 12
    for task in python environment plugins start; do
        case "$tasks " in *" $task "*) "install_$task" ;; esac
    done
    if $engine; then engine_state; fi
fi

case ${state:-} in
    forbidden) advise "permission to use Docker: sudo usermod -aG docker $(id -un), then log in again (or: newgrp docker)" ;;
    silent) [ -n "$advice" ] || advise 'an engine that answers: docker version shows the reason' ;;
esac
if [ -n "$advice" ]; then
    printf 'bootstrap: still missing; install manually:\n%s' "$advice" >&2
    exit 1
fi
say "ready after $SECONDS s: $(.venv/bin/python --version)${server:+, $name $server, Compose $compose}; next: make up, or make help"

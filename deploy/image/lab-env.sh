#!/bin/bash -p
# Runs a command with the lab's environment: the configuration's `env`, and the programs in the user's home.
#
#   lab-env COMMAND           in a running lab, as `inv compose.shell` does
#   lab-env --start COMMAND   for the entrypoint: exports the secrets from file descriptor 3, runs the hooks, starts the
#                             command and forwards signals to it
set -euo pipefail

readonly home=/home/devai hooks=/usr/local/bin/before-start.d

say() { echo "lab-env: $*" >&2; }

# Compose passes each variable with a prefix, so that it does not affect programs that run earlier or as root.
export_env() {
    local name
    for name in "${!DEVAI_ENV_@}"; do
        export "${name#DEVAI_ENV_}=${!name}"
        unset "$name"
    done
}

export_secrets() {
    local secret
    while IFS= read -r -d '' secret; do
        export "${secret?}"
    done <&3
    exec 3<&-
}

# Some programs read the lowercase proxy variables, some the uppercase ones. The lab's other services need no proxy.
share_proxies() {
    local name
    [[ -n ${HTTP_PROXY:-}${HTTPS_PROXY:-} ]] || return 0
    export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,ollama,chroma,host.docker.internal"
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [[ -z ${!name:-} ]] || export "${name,,}=${!name}"
    done
}

# Create the user's virtual environment on top of the lab's. `pip install` writes to it, and packages are kept because
# the home is persistent. The lab starts even if this environment is broken. Another image may have another version of
# Python.
open_environment() {
    local lab=(/opt/lab/lib/python3*/site-packages) PATH=/usr/bin:/bin # no programs of the user's environment
    local own=$home/.venv/${lab[0]#/opt/lab/}
    [[ ! -e $own/lab.pth ]] || return 0
    mkdir -p "$home/.venv/bin" "$own" &&
        ln -sf /usr/bin/python3 "$home/.venv/bin/python" &&
        ln -sf python "$home/.venv/bin/python3" &&
        printf '%s\n' "home = /usr/bin" "include-system-site-packages = false" >"$home/.venv/pyvenv.cfg" &&
        echo "import site; site.addsitedir(\"${lab[0]}\")" >"$own/lab.pth"
}

# Run the hooks in alphabetical order in the lab's home. If a hook fails, the lab does not start, because it may need
# what the hook prepares.
run_hooks() {
    local hook
    for hook in "$hooks"/*; do
        [[ -f $hook && -x $hook ]] || continue
        (cd "$home" && "$hook") || {
            say "$hook failed (exit code $?): the lab does not start"
            exit 2
        }
    done
}

export_env
export PATH="$home/.venv/bin:$PATH:$home/.local/bin"
if [[ ${1:-} == --start ]]; then
    export_secrets
    share_proxies
    open_environment || say "can't create the virtual environment in $home/.venv; \`pip install\` will not work"
    run_hooks
    # tini runs as the lab's user: as root without CAP_KILL it could not forward SIGTERM.
    exec /usr/bin/tini -- "${@:2}"
fi
# The engine starts a root process with the capabilities of the entrypoint, which are dropped here. Without capabilities
# this step is skipped, because dropping itself requires one.
if ((EUID == 0)) && [[ $(</proc/self/status) =~ CapBnd:[[:space:]]*0*[1-9a-f] ]]; then
    set -- /usr/bin/setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
fi
exec "$@"

#!/bin/bash -p
# Runs a command with the lab's environment: what the configuration's `env` says, and the programs in the user's home.
#
#   lab-env COMMAND           beside a lab that runs, as `inv compose.shell` does
#   lab-env --start COMMAND   for the entrypoint: exports the secrets that descriptor 3 hands over, runs the hooks first,
#                             and passes signals on
set -euo pipefail

readonly home=/home/devai hooks=/usr/local/bin/before-start.d

say() { echo "lab-env: $*" >&2; }

# Compose gives each variable with a prefix: so no program that runs before this one, or as root, takes it for its own.
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

# Some programs read their proxies from small letters, some from capitals. What runs beside the lab is not behind one.
share_proxies() {
    local name
    [[ -n ${HTTP_PROXY:-}${HTTPS_PROXY:-} ]] || return 0
    export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,ollama,chroma,host.docker.internal"
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [[ -z ${!name:-} ]] || export "${name,,}=${!name}"
    done
}

# The user's own environment, a virtual one on top of the lab's: `pip install` goes there and stays, because the
# home is kept, and whatever happens in it, the lab itself starts. Another image may bring another Python.
open_environment() {
    local lab=(/opt/lab/lib/python3*/site-packages) PATH=/usr/bin:/bin # nothing of what may be in it
    local own=$home/.venv/${lab[0]#/opt/lab/}
    [[ ! -e $own/lab.pth ]] || return 0
    mkdir -p "$home/.venv/bin" "$own" &&
        ln -sf /usr/bin/python3 "$home/.venv/bin/python" &&
        ln -sf python "$home/.venv/bin/python3" &&
        printf '%s\n' "home = /usr/bin" "include-system-site-packages = false" >"$home/.venv/pyvenv.cfg" &&
        echo "import site; site.addsitedir(\"${lab[0]}\")" >"$own/lab.pth"
}

# In the order of their names, in the lab's home. What a hook was to prepare, the lab may need: without it, it does not
# start.
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
    open_environment || say "no environment in $home/.venv: \`pip install\` will not work"
    run_hooks
    # After the drop: as root without CAP_KILL it could not pass SIGTERM on.
    exec /usr/bin/tini -- "${@:2}"
fi
# To root the engine gives the capabilities that only the entrypoint needs. To drop none would take one.
if ((EUID == 0)) && [[ $(</proc/self/status) =~ CapBnd:[[:space:]]*0*[1-9a-f] ]]; then
    set -- /usr/bin/setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
fi
exec "$@"

#!/usr/bin/env bash
# Starts a Docker engine without a service manager: WSL without systemd, a CI runner, a container.
set -euo pipefail

usage="usage: scripts/engine.sh start|stop|status   (as root)

DEVAI_ENGINE_DIR   keep all files of the engine in this folder, separate from other engines;
                   export DOCKER_HOST=unix://\$DEVAI_ENGINE_DIR/run/docker.sock to use it
                   (default: the standard paths /var/lib/docker and /var/run/docker.sock)"

say() { echo "engine: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

slot_of() {
    local first slot try
    for slot in {0..31}; do
        [ "$(alias_of "$slot")" = "$1" ] && echo "$slot" && return
    done
    first=$(($(printf %s "$1" | cksum | cut -d ' ' -f 1) % 32))
    for try in {0..31}; do
        slot=$(((first + try) % 32))
        [ -z "$(alias_of "$slot")" ] && echo "$slot" && return
    done
    fail "32 engines are running on this machine already"
}

# Not from /sys, which may show the devices of another network namespace.
alias_of() { { ip -o link show "devai$1" | sed -n 's/.*\\ *alias //p'; } 2>/dev/null || true; }

dir=${DEVAI_ENGINE_DIR:-}
if [ -n "$dir" ]; then
    data=$dir/data run=$dir/run log=$dir/log
    socket=$run/docker.sock pidfile=$run/docker.pid
    # Each engine needs its own name, bridge and addresses. They are derived from a hash of the folder's name; if they
    # are in use, the next free ones are taken. The bridge's alias is the folder, so that `stop` finds the bridge.
    # 198.18.0.0/15 is reserved for tests (RFC 2544): neither office networks nor other engines use it.
    slot=$(slot_of "$dir")
    name=devai$slot
    prefix=198.$((18 + slot / 16)).$((slot % 16 * 16))
    pool=$prefix.0/20
else
    data=/var/lib/docker run=/var/run/docker log=/var/log/docker.log
    socket=/var/run/docker.sock pidfile=/var/run/docker.pid
fi

answers() { docker -H "unix://$socket" version >/dev/null 2>&1; }

command_of() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true; }

# The PID file is not sufficient: after a crash, another process may have the same PID.
engine_pid() {
    local pid
    pid=$(cat "$pidfile" 2>/dev/null) || return 1
    [[ $(command_of "$pid") == *dockerd\ *"--pidfile=$pidfile "* ]] && echo "$pid"
}

# All engines of a machine share Docker's iptables chains, and each engine flushes them when it starts. Therefore this
# engine creates no rules (--iptables=false), and the rules here allow outgoing connections of containers and replies.
# Incoming connections come only from this machine, which does not use the FORWARD chain, and from containers: published
# ports use docker-proxy. Limitation: networks of this engine are not isolated from each other.
# Each rule is inserted before the one above it.
rules() {
    "$1" nat POSTROUTING -s "$pool" ! -d "$pool" -j MASQUERADE
    "$1" filter FORWARD -d "$pool" -j DROP
    "$1" filter FORWARD -d "$pool" -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    "$1" filter FORWARD -s "$pool" -j ACCEPT
}

insert() { iptables -w -t "$1" -I "${@:2}"; }

# Delete all copies of a rule.
delete() { while iptables -w -t "$1" -D "${@:2}" 2>/dev/null; do :; done; }

delete_rules() {
    rules delete
    delete filter FORWARD -d "$pool" -j ACCEPT # of version 0.1
}

network_up() {
    if ! ip link show "$name" >/dev/null 2>&1; then
        ip link add "$name" type bridge
        ip link set "$name" alias "$dir"
        ip address add "$prefix.1/24" dev "$name"
    fi
    ip link set "$name" up
    delete_rules
    rules insert
}

network_down() {
    local device
    for device in $(ip -o -4 address show to "$pool" | awk '{ print $2 }'); do
        ip link delete "$device"
    done
    delete_rules
}

start() {
    answers && say "already running at $socket" && return
    command -v dockerd >/dev/null || fail "dockerd is missing: scripts/bootstrap.sh installs it"
    mkdir -p "$run" "$data"
    engine_pid >/dev/null || rm -f "$pidfile"
    set -- --log-level=warn --pidfile="$pidfile" --data-root="$data" --exec-root="$run" --host="unix://$socket"
    if [ -n "$dir" ]; then
        network_up
        # The machine's daemon.json configures the machine's own engine; daemon.json in the folder configures this one.
        [ -e "$dir/daemon.json" ] || echo '{}' >"$dir/daemon.json"
        # Without --live-restore, an engine with its own address pool deletes docker0 when it restarts, even if another
        # engine owns docker0 (moby, daemon_unix.go: removeDefaultBridgeInterface). Hence `stop` stops the containers.
        set -- "$@" --config-file="$dir/daemon.json" --containerd-namespace="$name" --iptables=false \
            --bridge="$name" --default-address-pool="base=$pool,size=24" --live-restore
    fi
    (
        # Run in a new session, without the caller's terminal, working directory, make's pipes and low file limit.
        cd /
        ulimit -Sn 65536 2>/dev/null || true
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            if [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ]; then eval "exec $fd>&-"; fi
        done
        exec setsid nohup dockerd "$@" >"$log" 2>&1 </dev/null
    ) &
    local child=$! seconds
    for seconds in $(seq 60); do
        answers && say "running at $socket" && return
        kill -0 "$child" 2>/dev/null || engine_pid >/dev/null || break
        sleep 1
    done
    stop
    tail -n 20 "$log" >&2
    fail "no answer after $seconds s; the last lines of $log are above"
}

# Remove what a crash may leave behind: containerd, a shim with its container for each container, and mounts.
sweep() {
    local pid mount
    for pid in $(cd /proc && echo [0-9]*); do
        case $(command_of "$pid") in
            containerd*" $run/containerd/"* | /*/containerd*" $run/containerd/"*)
                # shellcheck disable=SC2046 # a list of numbers
                kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) 2>/dev/null || true
                ;;
        esac
    done
    awk -v data="${dir:-$data}/" -v run="$(readlink -m "$run")/" \
        'index($5, data) == 1 || index($5, run) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount -l "$mount"; done
}

stop() {
    local pid seconds
    if pid=$(engine_pid); then
        docker -H "unix://$socket" ps -q 2>/dev/null |
            xargs -r docker -H "unix://$socket" stop >/dev/null 2>&1 || true # if the engine hangs, `sweep` kills them
        kill -TERM "$pid"
        for seconds in $(seq 600); do
            [ -e "/proc/$pid" ] || break
            sleep 0.1
        done
        if [ -e "/proc/$pid" ]; then
            say "still running after $((seconds / 10)) s: killed"
            kill -KILL "$pid"
        fi
    elif answers; then
        fail "the engine at $socket was not started by this script: stop it the way it was started"
    fi
    sweep
    rm -f "$pidfile" "$socket"
    # Keep docker0, as the distribution's service does: another engine may use it.
    [ -z "$dir" ] || network_down
    say "stopped"
}

case $* in
    -h | --help) echo "$usage" && exit ;;
    start | stop | status) ;;
    *) echo "$usage" >&2 && exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || fail "needs root: sudo -E scripts/engine.sh $1"
case $dir in
    '' | /*) ;;
    *) fail "DEVAI_ENGINE_DIR must be absolute: $dir" ;;
esac
# A socket's path is limited to 107 characters; containerd's longest is 38 characters longer than this folder's path.
if [ ${#dir} -gt 65 ] || [[ $dir == *[[:space:]]* ]]; then
    fail "DEVAI_ENGINE_DIR must be at most 65 characters without blanks: $dir"
fi
case $1 in
    start) start ;;
    stop) stop ;;
    status) if answers; then say "running at $socket"; else fail "not running at $socket"; fi ;;
esac

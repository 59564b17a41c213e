#!/bin/bash -p
# Starts a command as the user that owns the lab's files.
#
#   started as     with               runs the command as
#   root           NB_UID and NB_GID  the account, after it is given these IDs
#   root           NB_UID=0           root without capabilities: rootless engines map root to the user who runs them
#   root           neither            the account with its IDs in the image
#   another user   any                that user, without changes
#
# With NB_UID=0 the entrypoint needs no capabilities and should be started without any, because this root user owns the
# entrypoint. If the home belongs to another user, `--take-home` instead of a command first gives the home to root, in a
# separate short-lived container that has the capabilities.
#
# The entrypoint may run as root, so it does not trust the environment: -p ignores BASH_ENV, SHELLOPTS and exported
# functions, programs come from the image only, and `lab-env` exports the configuration's `env` and secrets only after
# root's capabilities are dropped.
set -euo pipefail

readonly account=devai home=/home/devai

say() { echo "entrypoint: $*" >&2; }

die() {
    say "$*"
    exit 2
}

# Up to ten digits, like the kernel's user IDs: OpenShift's start at 1000000000.
is_id() { [[ $1 =~ ^(0|[1-9][0-9]{0,9})$ ]]; }

# Print every secret as NAME=VALUE, where NAME is the name of its file. Root can read files that the lab's user can't.
# Compose mounts the files in /run/secrets; Kubernetes mounts them in a subfolder, because /run/secrets contains other
# mounts there.
print_secrets() {
    local file name
    for file in /run/secrets/* /run/secrets/devai/*; do
        name=${file##*/}
        [[ $name =~ ^[A-Z_][A-Z0-9_]*$ && -f $file && -s $file ]] || continue
        if [[ -r $file ]]; then
            printf '%s\0' "$name=$(<"$file")"
        else
            say "secret not exported: $file is not readable for UID $EUID"
        fi
    done
}

# Edits /etc/passwd instead of running usermod, which would also run a slow chown. The account is inserted as the first
# line, because the base image may contain another account with the same UID.
rename_account() {
    sed -i -e "/^$account:/d" -e "1i $account:x:$1:$2::$home:/bin/bash" /etc/passwd
    getent group "$2" >/dev/null || echo "$account:x:$2:" >>/etc/group
}

# Give the home to a user, without the folders mounted inside, which belong to the user already. The home itself comes
# last, because its owner shows whether the work is complete.
take_home() {
    local mount skip=()
    [[ $(stat --format %u "$home") != "$1" ]] || return 0
    while read -r _ _ _ _ mount _; do
        # find's -xdev does not detect a bind mount from the same device as the home.
        [[ $mount != "$home"/* ]] || skip+=(-samefile "$(printf %b "$mount")" -prune -o)
    done </proc/self/mountinfo
    if find "$home" -mindepth 1 "${skip[@]}" -exec chown --no-dereference "$1:$2" {} +; then
        chown "$1:$2" "$home"
    else
        say "could not change the owner of all files in $home"
    fi
}

# Whether the bounding set contains any capability.
has_capabilities() { [[ $(</proc/self/status) =~ CapBnd:[[:space:]]*0*[1-9a-f] ]]; }

# Give the account's IDs and the home to the user, and set `drop` to the command that switches to that user without
# capabilities.
prepare_drop() {
    local PATH=/usr/sbin:/usr/bin:/sbin:/bin account_uid account_gid uid gid
    account_uid=$(id --user "$account") account_gid=$(id --group "$account")
    uid=${NB_UID:-$account_uid} gid=${NB_GID:-$account_gid}
    is_id "$uid" || die "NB_UID=$uid is not a user ID: use a number such as 1000"
    is_id "$gid" || die "NB_GID=$gid is not a group ID: use a number such as 1000"
    if ((uid != 0)) && [[ $uid:$gid != "$account_uid:$account_gid" ]]; then
        if [[ -w /etc/passwd ]]; then
            rename_account "$uid" "$gid"
        else
            uid=$account_uid gid=$account_gid
            say "/etc/passwd is not writable: running as $uid:$gid"
        fi
    fi
    if ! has_capabilities; then
        ((uid == 0)) || die "switching to UID $uid requires the capabilities CHOWN, SETUID, SETGID, DAC_OVERRIDE," \
            "FOWNER and SETPCAP: start the container with them, as docker-compose.user.yml does, or as $uid:$gid"
        [[ -w $home ]] || die "$home belongs to UID $(stat --format %u "$home"), and root has no capability to write" \
            "to it: run \`inv up\`, or a container with CHOWN and DAC_OVERRIDE and the command --take-home"
        drop=(/usr/bin/setpriv --no-new-privs) # dropping capabilities would itself require a capability
        return 0
    fi
    take_home "$uid" "$gid"
    drop=(
        /usr/bin/setpriv "--reuid=$uid" "--regid=$gid" --clear-groups
        --no-new-privs --bounding-set=-all --inh-caps=-all
    )
}

drop=()
((EUID != 0)) || prepare_drop
[[ ${1:-} != --take-home ]] || exit 0
exec 3< <(print_secrets)
exec "${drop[@]}" /usr/local/bin/lab-env --start "$@"

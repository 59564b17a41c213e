#!/bin/bash -p
# Starts a command as the user whose files it will work on.
#
#   as root, NB_UID and NB_GID   the account takes these ids, then the command runs as the account
#   as root, NB_UID=0            as root without capabilities: rootless engines map it to the user who started them
#   as root, neither             as the account with the ids that the image gave it
#   as anyone else               as that id: nothing to map, nothing to drop
#
# For NB_UID=0 it needs no capability itself, and is best given none: that root owns this file. A home of somebody else
# is root's first, by `--take-home` in the command's place: in a container of its own, which has capabilities and ends.
#
# What runs here may be root, so it obeys nobody's environment: -p ignores BASH_ENV, SHELLOPTS and exported functions,
# programs come from the image alone, and `lab-env` exports the configuration's `env` and secrets after the drop.
set -euo pipefail

readonly account=devai home=/home/devai

say() { echo "entrypoint: $*" >&2; }

die() {
    say "$*"
    exit 2
}

# As large as the kernel takes them: OpenShift's begin at a thousand million.
is_id() { [[ $1 =~ ^(0|[1-9][0-9]{0,9})$ ]]; }

# Every secret as NAME=VALUE, with the name of its file: root reads what the lab's user may not. Compose mounts the files
# themselves; in a cluster they have a folder of their own, since others mount theirs beside it.
print_secrets() {
    local file name
    for file in /run/secrets/* /run/secrets/devai/*; do
        name=${file##*/}
        [[ $name =~ ^[A-Z_][A-Z0-9_]*$ && -f $file && -s $file ]] || continue
        if [[ -r $file ]]; then
            printf '%s\0' "$name=$(<"$file")"
        else
            say "$file is not readable by uid $EUID: not exported"
        fi
    done
}

# A second account, or usermod with its own slow chown, would be worse than two lines of text.
# First in the file, for the base image may know the same uid under another name.
rename_account() {
    sed -i -e "/^$account:/d" -e "1i $account:x:$1:$2::$home:/bin/bash" /etc/passwd
    getent group "$2" >/dev/null || echo "$account:x:$2:" >>/etc/group
}

# Not what is mounted inside: those folders are the user's own. The folder itself comes last, for its
# owner says that all is done.
take_home() {
    local mount skip=()
    [[ $(stat --format %u "$home") != "$1" ]] || return 0
    while read -r _ _ _ _ mount _; do
        # On one disk a bind mount has the device of the home: find's -xdev would not notice it.
        [[ $mount != "$home"/* ]] || skip+=(-samefile "$(printf %b "$mount")" -prune -o)
    done </proc/self/mountinfo
    if find "$home" -mindepth 1 "${skip[@]}" -exec chown --no-dereference "$1:$2" {} +; then
        chown "$1:$2" "$home"
    else
        say "some files in $home keep their owner"
    fi
}

# Whether there is anything that an engine could have taken from root.
has_capabilities() { [[ $(</proc/self/status) =~ CapBnd:[[:space:]]*0*[1-9a-f] ]]; }

# Give the account and the home to the user, and set `drop`: what makes root that user, with no capability left.
prepare_drop() {
    local PATH=/usr/sbin:/usr/bin:/sbin:/bin account_uid account_gid uid gid
    account_uid=$(id --user "$account") account_gid=$(id --group "$account")
    uid=${NB_UID:-$account_uid} gid=${NB_GID:-$account_gid}
    is_id "$uid" || die "NB_UID=$uid is not a user id: a number such as 1000"
    is_id "$gid" || die "NB_GID=$gid is not a group id: a number such as 1000"
    if ((uid != 0)) && [[ $uid:$gid != "$account_uid:$account_gid" ]]; then
        if [[ -w /etc/passwd ]]; then
            rename_account "$uid" "$gid"
        else
            uid=$account_uid gid=$account_gid
            say "/etc is read-only: running as $uid:$gid"
        fi
    fi
    if ! has_capabilities; then
        ((uid == 0)) || die "to become uid $uid, root needs CHOWN, SETUID, SETGID, DAC_OVERRIDE, FOWNER and SETPCAP:" \
            "start the container with them, as docker-compose.user.yml does, or as $uid:$gid"
        [[ -w $home ]] || die "$home is of uid $(stat --format %u "$home"), and root has no capability to write there:" \
            "\`inv up\` gives it to root, or a container with CHOWN and DAC_OVERRIDE and the command --take-home"
        drop=(/usr/bin/setpriv --no-new-privs) # to drop what isn't there would take a capability
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

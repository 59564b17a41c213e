#!/bin/bash
# Starts a command as the person whose files it will work on.
#
#   as root, NB_UID and NB_GID   the account takes these ids, then the command runs as the account
#   as root, NB_UID=0            as root: rootless engines map it to the person who started them
#   as root, neither             as the account with the ids that the image gave it
#   as anyone else               as that id: nothing to map, nothing to drop
set -euo pipefail

readonly account=devai home=/home/devai

say() { echo "entrypoint: $*" >&2; }

die() {
    say "$*"
    exit 2
}

is_id() { [[ $1 =~ ^(0|[1-9][0-9]{0,8})$ ]]; }

# Every secret becomes the variable that its file is named after.
export_secrets() {
    local file name
    for file in /run/secrets/*; do
        name=${file##*/}
        [[ $name =~ ^[A-Z_][A-Z0-9_]*$ && -f $file && -s $file ]] || continue
        if [[ -r $file ]]; then
            export "$name=$(<"$file")"
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

# Not what is mounted inside: those folders are the person's own. The folder itself comes last, for its
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

# The person's own environment, a virtual one on top of the lab's: `pip install` goes there and stays, because the
# home is kept, and whatever happens in it, the lab itself starts. Another image may bring another Python.
# shellcheck disable=SC2016 # the inner shell expands them
open_environment() {
    local lab=(/opt/lab/lib/python3*/site-packages)
    local own=$home/.venv/${lab[0]#/opt/lab/}
    [[ -e $own/lab.pth ]] || "$@" sh -euc '
        mkdir -p "$1/bin" "$2"
        ln -sf /usr/bin/python3 "$1/bin/python"
        ln -sf python "$1/bin/python3"
        printf "%s\n" "home = /usr/bin" "include-system-site-packages = false" >"$1/pyvenv.cfg"
        echo "import site; site.addsitedir(\"$3\")" >"$2/lab.pth"
    ' open_environment "$home/.venv" "$own" "${lab[0]}"
}

export_secrets

drop=()
if ((EUID == 0)); then
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
    take_home "$uid" "$gid"
    drop=(setpriv "--reuid=$uid" "--regid=$gid" --clear-groups --no-new-privs)
fi

for hook in /usr/local/bin/before-start.d/*.sh; do
    # shellcheck source=/dev/null
    [[ ! -f $hook ]] || . "$hook"
done

open_environment "${drop[@]}" || say "no environment in $home/.venv: \`pip install\` will not work"

# The person's programs come first only from here on: root must never run one of them.
# Init comes after the drop: as root without CAP_KILL it could not pass SIGTERM on.
exec "${drop[@]}" env "PATH=$home/.venv/bin:$PATH:$home/.local/bin" /usr/bin/tini -- "$@"

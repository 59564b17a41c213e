#!/bin/bash
# Starts a command as the person whose files it will work on.
#
#   as root, NB_UID and NB_GID   the account takes these ids, then the command runs as the account
#   as root, NB_UID=0            as root: rootless engines map it to the person who started them
#   as root, neither             as the account with the ids that the image gave it
#   as anyone else               as that id: nothing to map, nothing to drop
set -euo pipefail

readonly account=devai home=/home/devai hooks=/usr/local/bin/before-start.d

say() { echo "entrypoint: $*" >&2; }

die() {
    say "$*"
    exit 2
}

# As large as the kernel takes them: OpenShift's begin at a thousand million.
is_id() { [[ $1 =~ ^(0|[1-9][0-9]{0,9})$ ]]; }

# Every secret becomes the variable that its file is named after. Compose mounts the files themselves; in a cluster they
# have a folder of their own, since others mount theirs beside it.
export_secrets() {
    local file name
    for file in /run/secrets/* /run/secrets/devai/*; do
        name=${file##*/}
        [[ $name =~ ^[A-Z_][A-Z0-9_]*$ && -f $file && -s $file ]] || continue
        if [[ -r $file ]]; then
            export "$name=$(<"$file")"
        else
            say "$file is not readable by uid $EUID: not exported"
        fi
    done
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

# In the order of their names, as the lab's user in the lab's home. What a hook was to prepare, the lab may need:
# without it, it does not start.
run_hooks() {
    local hook
    for hook in "$hooks"/*; do
        [[ -f $hook && -x $hook ]] || continue
        (cd "$home" && "$@" "$hook") || die "$hook failed (exit code $?): the lab does not start"
    done
}

export_secrets
share_proxies

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

open_environment "${drop[@]}" || say "no environment in $home/.venv: \`pip install\` will not work"

# The person's programs come first only from here on: root must never run one of them.
# Init comes after the drop: as root without CAP_KILL it could not pass SIGTERM on.
as_the_lab=("${drop[@]}" env "PATH=$home/.venv/bin:$PATH:$home/.local/bin")
run_hooks "${as_the_lab[@]}"
exec "${as_the_lab[@]}" /usr/bin/tini -- "$@"

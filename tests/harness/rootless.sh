#!/bin/sh
# The first process of mount and PID namespaces with a user `lab`, who has 65536 subordinate user IDs and may open the
# TUN device for user-mode networking. The kernel removes the mounts when the process stops: sh rootless.sh FOLDER
set -eu
folder=$1

cp /etc/passwd /etc/group "$folder"
echo "lab:x:4242:4242::$folder/home:/bin/sh" >>"$folder/passwd"
echo "lab:x:4242:" >>"$folder/group"
echo "lab:200000:65536" >"$folder/subuid"
cp "$folder/subuid" "$folder/subgid"
touch /etc/subuid /etc/subgid
for file in passwd group subuid subgid; do
    mount --bind "$folder/$file" "/etc/$file"
done

mkdir "$folder/devices"
mount -t tmpfs -o mode=755 devices "$folder/devices"
mknod -m 666 "$folder/devices/tun" c 10 200
mkdir -p /dev/net
[ -e /dev/net/tun ] || touch /dev/net/tun
mount --bind "$folder/devices/tun" /dev/net/tun

echo ready
while :; do sleep 3600; done

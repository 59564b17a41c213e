#!/bin/sh
# The first process of a view of this machine in which there is a person `lab`, who may have 65536 users of their own
# and open the device of user-mode networks. Nothing of it is left when it ends: sh rootless.sh FOLDER
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

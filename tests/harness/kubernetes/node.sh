#!/bin/sh
# Makes a node of new namespaces, from within them: what it writes to the usual places stays its own, and nothing that
# it sets reaches the machine's kernel. Arguments: the node's folder, the folder with its programs, its address.
set -eu
folder=$1 programs=$2 address=$3

# Mounts: the machine's file system, with places of our own where a node's parts keep things.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/node /run/programs
mount --bind "$folder" /run/node
mount --bind "$programs" /run/programs
mkdir -p "$folder/lib" "$folder/log" "$folder/sysctl"
mount --bind /run/node/lib /var/lib
mount --bind /run/node/log /var/log

# The kubelet wants these of the whole machine, and writes what it doesn't find so: it finds it so.
pretend() {
    echo "$2" >"/run/node/sysctl/$(basename "$1")"
    mount --bind "/run/node/sysctl/$(basename "$1")" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000

# Network: an address of the node's own and a default route, so that the addresses of services have one. Without NAT
# and another way out there is no way to the world.
ip link set lo up
ip link add node type bridge # with nothing on it
ip address add "$address/32" dev node
ip link set node up
ip route add default dev node
echo 1 >/proc/sys/net/ipv4/ip_forward

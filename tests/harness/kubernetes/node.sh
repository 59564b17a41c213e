#!/bin/sh
# Set up a node's namespaces from inside: files that the node writes to the usual paths stay in the node, and its
# settings do not change the machine's kernel. Arguments: folder of the node, folder of its programs, its address,
# the address of its DNS server.
set -eu
folder=$1 programs=$2 address=$3 dns=$4

# Mounts: the machine's file system, with separate folders where the node's components store data.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/node /run/programs
mount --bind "$folder" /run/node
mount --bind "$programs" /run/programs
mkdir -p "$folder/lib" "$folder/log" "$folder/sysctl"
mount --bind /run/node/lib /var/lib
mount --bind /run/node/log /var/log

# The kubelet requires these settings of the whole machine, and changes them if they differ. It reads these values
# instead.
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

# Network: an address of the node and a default route, which the addresses of services need. Without NAT and other
# routes the node cannot reach other networks.
ip link set lo up
ip link add node type bridge # without ports
ip address add "$address/32" dev node
ip address add "$dns/32" dev node
ip link set node up
ip route add default dev node
echo 1 >/proc/sys/net/ipv4/ip_forward

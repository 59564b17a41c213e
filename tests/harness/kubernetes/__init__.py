"""A real Kubernetes for tests, built from published source: it pulls no image and leaves nothing on the machine.

`ApiServer` is etcd and kube-apiserver on loopback, for tests of admission. `Cluster` is a node that runs real pods. The
fixtures `api_server` and `cluster` provide both.
"""

"""A real Kubernetes for tests, from its published source: no image is pulled, and nothing of it stays on the machine.

`ApiServer` is etcd and kube-apiserver on loopback, for all that admission decides. `Cluster` is a node with real pods.
Tests get both as the fixtures `api_server` and `cluster`.
"""

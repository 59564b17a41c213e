"""Features of a cluster that the lab relies on, tested with pods that run a small program instead of the lab."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import testinfra
from harness.kubernetes.api import Cluster, kubectl_program
from harness.kubernetes.cluster import LocalCluster

NAME = {"name": "test-pod"}
LABELS = {"app": "test-pod"}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that enforces the Pod Security Standard `restricted`."""
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as name:
        yield name


@pytest.fixture(scope="module")
def pod_namespace(cluster: Cluster, namespace: str, pod_image: str) -> str:
    """A namespace with the Deployment `test-pod`, which serves the files of a volume, and with its service."""
    many = isinstance(cluster, LocalCluster)  # the default class of other clusters rarely supports ReadWriteMany
    applied = cluster.apply(*objects(pod_image, cluster.storage_class, many=many), namespace=namespace)
    assert (applied.returncode, applied.stderr) == (0, "")
    rolled = cluster.kubectl("rollout", "status", "deployment/test-pod", f"--namespace={namespace}", "--timeout=90s")
    assert rolled.returncode == 0, rolled.stdout + rolled.stderr
    wrote = run_in(cluster, namespace, "write", "/data/hello", "kept")
    assert wrote.returncode == 0, wrote.stderr
    return namespace


def objects(image: str, storage_class: str, *, many: bool) -> list[dict[str, Any]]:
    """Return a claim, a hardened Deployment that mounts it, and a service; `many` is for two pods on one volume."""
    hardened = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "test-pod",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "/data"],
        "securityContext": hardened,
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 4242,
            "runAsGroup": 4242,
            "fsGroup": 4242,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "test-pod"}}],
    }
    claim = {
        "accessModes": ["ReadWriteMany" if many else "ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    deployment = {"replicas": 2 if many else 1, "selector": {"matchLabels": LABELS}, "template": template}
    service = {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": NAME, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": NAME, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": NAME, "spec": service},
    ]


def run_in(cluster: Cluster, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with arguments in a pod of the Deployment."""
    return cluster.kubectl("exec", "deployment/test-pod", f"--namespace={namespace}", "--", "/test_pod", *arguments)


def test_all_replicas_share_one_volume(cluster: Cluster, pod_namespace: str) -> None:
    pods = cluster.get("pods", f"--namespace={pod_namespace}")["items"]
    for pod in pods:
        page = "http://127.0.0.1:8080/hello"
        command = ("--namespace", pod_namespace, pod["metadata"]["name"], "--", "/test_pod", "fetch", page)
        assert cluster.kubectl("exec", *command).stdout == "kept"
    assert cluster.get("pvc/test-pod", f"--namespace={pod_namespace}")["status"]["phase"] == "Bound"


@pytest.mark.parametrize("suffix", ["", ".{namespace}.svc.cluster.local"], ids=["short", "full"])
def test_service_is_reachable_by_its_name(cluster: Cluster, pod_namespace: str, suffix: str) -> None:
    url = f"http://test-pod{suffix.format(namespace=pod_namespace)}/hello"
    fetched = run_in(cluster, pod_namespace, "fetch", url)
    # kube-proxy updates its rules periodically, so a service may not reach a pod that has just become ready.
    for _ in range(20):
        if fetched.returncode == 0:
            break
        time.sleep(0.5)
        fetched = run_in(cluster, pod_namespace, "fetch", url)
    assert (fetched.stdout, fetched.returncode) == ("kept", 0), fetched.stderr


def test_logs_contain_the_output_of_a_pod(cluster: Cluster, pod_namespace: str) -> None:
    logs = cluster.kubectl("logs", "deployment/test-pod", f"--namespace={pod_namespace}")
    assert logs.stdout.endswith("serving /data\n")


def test_port_forward_listens_on_the_loopback_interface(cluster: Cluster, pod_namespace: str) -> None:
    command = [kubectl_program(), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={pod_namespace}"]
    with subprocess.Popen(
        [*command, "port-forward", "service/test-pod", ":80"], stdout=subprocess.PIPE, text=True
    ) as forwarding:
        try:
            assert forwarding.stdout is not None
            match = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", forwarding.stdout.readline())
            assert match is not None
            with urllib.request.urlopen(f"http://127.0.0.1:{match[1]}/hello", timeout=10) as response:
                assert response.read() == b"kept"
        finally:
            forwarding.terminate()


def test_testinfra_can_connect_to_a_pod(cluster: Cluster, pod_namespace: str) -> None:
    pod = cluster.get("pods", f"--namespace={pod_namespace}")["items"][0]["metadata"]["name"]
    host = testinfra.get_host(f"kubectl://{pod}?namespace={pod_namespace}&kubeconfig={cluster.kubeconfig}")
    # The image has no shell, so testinfra's error about /bin/sh shows that it has reached the pod.
    assert "/bin/sh" in host.run("true").stderr


def test_deleted_pod_is_replaced(cluster: Cluster, pod_namespace: str) -> None:
    deleted = cluster.kubectl("delete", "pods", "--selector=app=test-pod", f"--namespace={pod_namespace}")
    assert deleted.returncode == 0, deleted.stderr
    rolled = cluster.kubectl(
        "rollout", "status", "deployment/test-pod", f"--namespace={pod_namespace}", "--timeout=90s"
    )
    assert rolled.returncode == 0, rolled.stderr
    assert run_in(cluster, pod_namespace, "fetch", "http://127.0.0.1:8080/hello").stdout == "kept"


def test_process_that_exceeds_the_memory_limit_is_killed(cluster: Cluster, pod_namespace: str) -> None:
    """137 is the exit code after SIGKILL, here by the kernel's OOM killer."""
    command = ("--namespace", pod_namespace, "deployment/test-pod", "--", "/test_pod", "fill", "128")
    assert cluster.kubectl("exec", *command).returncode == 137


def test_volume_is_deleted_with_its_claim(cluster: Cluster, namespace: str) -> None:
    claim = objects("unused", cluster.storage_class, many=False)[0]
    claim["metadata"] = {"name": "short-lived"}
    cluster.apply(claim, namespace=namespace)
    if not isinstance(cluster, LocalCluster):
        pytest.skip("the default storage class of an existing cluster may bind late or retain volumes")
    bound = cluster.kubectl(
        "wait", "pvc/short-lived", "--for=jsonpath={.status.phase}=Bound", "--timeout=30s", f"--namespace={namespace}"
    )
    assert bound.returncode == 0, bound.stderr
    volume = cluster.get("pvc/short-lived", f"--namespace={namespace}")["spec"]["volumeName"]
    cluster.kubectl("delete", "pvc/short-lived", f"--namespace={namespace}")
    deadline = time.monotonic() + 30
    while cluster.kubectl("get", f"pv/{volume}").returncode == 0:
        assert time.monotonic() < deadline, json.dumps(cluster.get(f"pv/{volume}")["status"])
        time.sleep(0.2)
    assert not (cluster.node.folder / "volumes" / volume).exists()

"""Validation and admission by a real API server, of the oldest and the newest supported version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness.kubernetes import crds
from harness.kubernetes.api import Kubernetes

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def restricted(api_server: Kubernetes) -> Iterator[str]:
    """A namespace that enforces the Pod Security Standard `restricted`."""
    with api_server.namespace(**RESTRICTED) as name:
        yield name


def deployment(**security: Any) -> dict[str, Any]:
    """Return a Deployment with a container that has this security context."""
    container = {"name": "lab", "image": "lab.invalid/lab:1", "securityContext": security}
    pod = {"metadata": {"labels": {"app": "lab"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "lab"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "lab"}}, "template": pod},
    }


def test_api_server_has_the_requested_version(api_server: Kubernetes) -> None:
    result = api_server.kubectl("version", "--output=json")
    assert f'"gitVersion": "{api_server.version}"' in result.stdout


def test_unknown_field_is_refused(api_server: Kubernetes, restricted: str) -> None:
    mistyped = deployment(**HARDENED)
    mistyped["spec"]["replica"] = 2
    applied = api_server.apply(mistyped, namespace=restricted)
    assert applied.returncode == 1
    assert ".spec.replica: field not declared in schema" in applied.stderr


def test_hardened_deployment_is_admitted_without_warnings(api_server: Kubernetes, restricted: str) -> None:
    applied = api_server.apply(deployment(**HARDENED), namespace=restricted)
    assert (applied.returncode, applied.stderr) == (0, "")


def test_unhardened_deployment_causes_a_warning_and_its_pods_are_refused(
    api_server: Kubernetes, restricted: str
) -> None:
    applied = api_server.apply(deployment(), namespace=restricted)
    assert 'would violate PodSecurity "restricted:latest"' in applied.stderr
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare"},
        "spec": deployment()["spec"]["template"]["spec"],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}  # no controller runs
    refused = api_server.apply(account, pod, namespace=restricted)
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_second_apply_changes_nothing(api_server: Kubernetes, restricted: str) -> None:
    def applied() -> object:
        """Return the generation, and kubectl's managed fields with their time; controllers write to other fields."""
        arguments = ("deployment/lab", f"--namespace={restricted}", "--show-managed-fields")
        metadata = api_server.get(*arguments)["metadata"]
        return metadata["generation"], [entry for entry in metadata["managedFields"] if entry["manager"] == "kubectl"]

    api_server.apply(deployment(**HARDENED), namespace=restricted)
    before = applied()
    time.sleep(1.1)  # the time in managed fields has a resolution of 1 s
    api_server.apply(deployment(**HARDENED), namespace=restricted)
    assert applied() == before


def test_custom_resources_are_validated_by_their_schema(api_server: Kubernetes, restricted: str) -> None:
    spec = {"type": "object", "properties": {"timeoutSec": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": spec}}
    kind = crds.definition("devai.invalid", "v1", "BackendPolicy", "backendpolicies", schema=schema)
    try:
        crds.install(api_server, kind)
        policy = {"apiVersion": "devai.invalid/v1", "kind": "BackendPolicy", "metadata": {"name": "lab"}}
        valid = api_server.apply({**policy, "spec": {"timeoutSec": 3600}}, namespace=restricted)
        wrong_type = api_server.apply({**policy, "spec": {"timeoutSec": "1h"}}, namespace=restricted)
        unknown = api_server.apply({**policy, "spec": {"timeout": 3600}}, namespace=restricted)
    finally:
        api_server.kubectl("delete", "crd", "backendpolicies.devai.invalid")
    assert valid.returncode == 0, valid.stderr
    assert (wrong_type.returncode, unknown.returncode) == (1, 1)
    assert ".spec.timeout: field not declared in schema" in unknown.stderr

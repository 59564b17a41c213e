"""Custom resource definitions of kinds that a cloud's controllers define: names and schemas."""

from __future__ import annotations

from typing import Any

from harness.kubernetes.api import Kubernetes

ANYTHING: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(  # noqa: PLR0913 - the parts of a definition
    group: str,
    version: str,
    kind: str,
    plural: str,
    *,
    scope: str = "Namespaced",
    schema: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a CustomResourceDefinition (apiextensions.k8s.io/v1) for one version of a kind.

    `scope` is Namespaced or Cluster. `schema` is the OpenAPI schema of the whole object, without apiVersion, kind and
    metadata; without a schema every field is accepted.
    """
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema or ANYTHING},
        "subresources": {"status": {}},
    }
    approved = {"api-approved.kubernetes.io": "unapproved, for tests"} if group.endswith(".k8s.io") else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": approved},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [served],
        },
    }


def install(server: Kubernetes, *definitions: dict[str, Any]) -> None:
    """Add kinds to a server and wait until it accepts their objects; raise AssertionError with kubectl's stderr."""
    applied = server.apply(*definitions)
    assert applied.returncode == 0, applied.stderr
    names = [f"crd/{item['metadata']['name']}" for item in definitions]
    waited = server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    assert waited.returncode == 0, waited.stderr

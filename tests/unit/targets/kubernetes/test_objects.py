"""Live objects: quantities, references and immutable fields, without a cluster; tests/cluster uses a real one."""

from __future__ import annotations

from typing import Any

import pytest

from devai_tasks.system.errors import UsageError
from devai_tasks.targets.kubernetes import objects as live


@pytest.mark.parametrize(
    ("text", "size"),
    [("50Gi", 50 * 2**30), ("1Ti", 2**40), ("500M", 500 * 10**6), ("1073741824", 2**30), ("1.5Gi", 3 * 2**29)],
)
def test_quantity_is_parsed_as_in_kubernetes(text: str, size: int) -> None:
    assert live.quantity(text) == size


def test_references_have_the_form_of_kubectl() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "devai"}}
    assert live.reference(deployment) == "deployment.apps/devai"
    assert live.reference({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}) == "secret/a"


def test_replicas_are_those_of_the_manifest_or_the_minimum_of_the_autoscaler() -> None:
    def deployment(name: str, **spec: int) -> dict[str, Any]:
        return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}

    scaler = {"scaleTargetRef": {"name": "scaled"}, "minReplicas": 3}
    autoscaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "any"}, "spec": scaler}
    objects = [deployment("fixed", replicas=2), deployment("scaled"), deployment("plain"), autoscaler]
    assert live.replicas(objects) == {"fixed": 2, "scaled": 3, "plain": 1}


def test_all_immutable_fields_are_reported_with_each_hint_once() -> None:
    def claim(size: str, mode: str) -> dict[str, Any]:
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
        return {"kind": "PersistentVolumeClaim", "metadata": {"name": "home"}, "spec": spec}

    live.check([claim("50Gi", "ReadWriteOnce")], [claim("80Gi", "ReadWriteOnce")])
    with pytest.raises(UsageError) as refused:
        live.check([claim("50Gi", "ReadWriteMany")], [claim("20Gi", "ReadWriteOnce")])
    access, size, outcome = refused.value.message.splitlines()
    assert (access.split(": ")[0], size.split(": ")[0]) == ("storage.access", "storage.home")
    assert outcome == "nothing was changed"
    assert refused.value.hint.count("`inv k8s.delete --data`") == 1


def test_first_apply_shows_every_line_as_new() -> None:
    left, right = (
        f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {kind[0]}}}\n" for kind in ("Namespace", "Service")
    )
    text = f"{left}---\n{right}"
    lines = live.as_new(text).splitlines()
    assert [line for line in lines if line.startswith("+++")] == ["+++ namespace/N", "+++ service/S"]
    assert [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")] == [
        line for line in text.splitlines() if line != "---"
    ]

"""Upgrade of a stack that version 0.1 has applied to a cluster: this version updates the objects in place."""

from __future__ import annotations

import json

import pytest
from harness import version_0_1
from harness.kubernetes.api import Kubernetes
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.targets.kubernetes import deployment as operations
from devai_tasks.targets.kubernetes import kubectl, objects
from devai_tasks.targets.kubernetes import rendering as kubernetes
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.workspace import writer

# Not ConfigMaps, Secrets and the job: they get another name when their content changes.
KEPT = "persistentvolumeclaims,deployments,services,ingresses,serviceaccounts,networkpolicies"


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of version 0.1 after the upgrade to the package's files of this version."""
    root = tmp_path_factory.mktemp("upgrade") / "lab"
    version_0_1.copy_project(root)
    version_0_1.upgrade(root)
    return Project(root)


@pytest.mark.parametrize("cloud", ["local", "aws", "azure", "gcp"])
def test_objects_of_version_0_1_are_updated_in_place(server: Kubernetes, upgraded: Project, cloud: str) -> None:
    text = (version_0_1.MANIFESTS / f"{cloud}-research.yaml").read_text(encoding="utf-8")
    applied = server.kubectl("apply", "--server-side", "--field-manager=devai", "--filename=-", input=text)
    assert applied.returncode == 0, applied.stderr
    before = identities(server, cloud)

    stack, overrides = Stack("research", cloud), (f"kubernetes.context={server.context}",)
    settings = Sources(upgraded, {}).configuration(stack, overrides).settings
    folder = writer.write(kubernetes.render(settings), upgraded.artifacts(stack))
    manifests, cluster = kubectl.build(folder / "kubernetes"), Cluster(upgraded, settings)
    live = operations.objects(cluster)
    operations.send(cluster, manifests, live)
    operations.prune(cluster, objects.parse(manifests), live)

    assert before.items() <= identities(server, cloud).items()


def identities(server: Kubernetes, cloud: str) -> dict[str, str]:
    """Return the UID of each object that an upgrade keeps."""
    result = server.kubectl("get", KEPT, f"--namespace=team-lab-{cloud}-research", "--output=json")
    assert result.returncode == 0, result.stderr
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["uid"]
        for item in json.loads(result.stdout)["items"]
    }

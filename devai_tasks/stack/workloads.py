"""Selection of a stack's workload."""

from __future__ import annotations

from devai_tasks.stack.compose_workload import ComposeWorkload
from devai_tasks.stack.containers_workload import ContainersWorkload
from devai_tasks.stack.kubernetes_workload import KubernetesWorkload
from devai_tasks.stack.session import Session
from devai_tasks.stack.workload import Workload


def of(session: Session) -> Workload:
    """Return the workload of a stack."""
    compute = session.settings.compute
    if compute.uses_compose:
        return ComposeWorkload(session)
    return KubernetesWorkload(session) if compute.uses_kubernetes else ContainersWorkload(session)

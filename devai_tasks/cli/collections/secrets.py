"""Secrets: the lab's token."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import seconds_of, stack_task
from devai_tasks.stack.session import Session


@stack_task(
    changes=True,
    asks=True,
    help={
        "cluster": "of a stack of this machine, the lab in its local cluster (default: that of Compose)",
        "seconds": "how long to wait for the lab (default: 600)",
    },
)
def rotate(c: Context, session: Session, cluster: bool = False, seconds: str = "600") -> None:
    """Replace the lab's token, as after a leak: every session and kernel ends; prints the new address."""
    from devai_tasks.cli.collections import stack
    from devai_tasks.stack import workloads
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    limit = seconds_of(seconds)
    if cluster and session.settings.compute.uses_compose:
        return KubernetesWorkload(session).rotate(seconds=limit)
    workloads.of(session).rotate(seconds=limit)
    return stack.show_address(session.reloaded())

"""Secrets: rotate the lab's token."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import seconds_of, stack_task
from devai_tasks.stack.session import Session


@stack_task(
    changes=True,
    asks=True,
    help={
        "cluster": "for a local stack, use the lab in the local cluster (default: the lab in Compose)",
        "seconds": "seconds to wait for the lab (default: 600)",
    },
)
def rotate(c: Context, session: Session, cluster: bool = False, seconds: str = "600") -> None:
    """Replace the lab's token, such as after a leak, and print the new address; all sessions and kernels stop."""
    from devai_tasks.cli.collections import stack
    from devai_tasks.stack import workloads
    from devai_tasks.stack.kubernetes_workload import KubernetesWorkload

    limit = seconds_of(seconds)
    if cluster and session.settings.compute.uses_compose:
        return KubernetesWorkload(session).rotate(seconds=limit)
    workloads.of(session).rotate(seconds=limit)
    return stack.show_address(session.reloaded())

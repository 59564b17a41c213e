"""Secrets: the lab's token."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import Request, seconds_of, stack_task


@stack_task(
    changes=True,
    asks=True,
    help={
        "cluster": "of a stack of this machine, the lab in its local cluster (default: that of Compose)",
        "seconds": "how long to wait for the lab (default: 600)",
    },
)
def rotate(c: Context, request: Request, cluster: bool = False, seconds: str = "600") -> None:
    """Replace the lab's token, as after a leak: every session and kernel ends; prints the new address."""
    from devai_tasks.cli import lifecycle
    from devai_tasks.cli.collections import compose, kubernetes, stack, terraform

    limit, compute = seconds_of(seconds), request.settings.compute
    if compute.provider == "local":
        if cluster:
            return kubernetes.rotate(request, seconds=limit)
        compose.rotate(request)
    elif compute.platform == "kubernetes":
        request = lifecycle.joined(request)
        kubernetes.rotate(request, seconds=limit)
    else:
        terraform.rotate(request)
    return stack.show_address(request.anew())

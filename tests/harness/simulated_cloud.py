"""Run `inv` on a simulated cloud. Three things need a cloud and are replaced; the rest is the real program.

- Terraform uses providers that answer from provider schema snapshots, and keeps its state in a file.
- The lab's host name resolves to a load balancer on this machine (DEVAI_TEST_LOAD_BALANCER, as HOST=ADDRESS:PORT).
- The tests' certificate authority signs the lab's certificate (DEVAI_TEST_AUTHORITY, a file).
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from devai_tasks.cli.program import program
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.targets.terraform import deployment as terraform


def with_provider_snapshots(
    real: Callable[..., AbstractContextManager[terraform.TerraformProject]],
) -> Callable[..., Any]:
    """Return the real function, called with `offline` for every stack."""

    def work(
        project: Project, settings: Settings, *, offline: bool = False, dry: bool = False, looking: bool = False
    ) -> AbstractContextManager[terraform.TerraformProject]:
        del offline
        return real(project, settings, offline=True, dry=dry, looking=looking)

    return work


def resolve_to(host: str, address: str, port: int) -> None:
    """Resolve a host name, with any port, to an address and a port of this machine."""
    real = socket.getaddrinfo

    def getaddrinfo(name: Any, service: Any, *arguments: Any, **options: Any) -> Any:
        if name in (host, host.encode()):
            return real(address, port, *arguments, **options)
        return real(name, service, *arguments, **options)

    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment] # the fake has fewer overloads


def trust(authority: str) -> None:
    """Trust an additional certificate authority when the lab's URL is checked."""
    context = ssl.create_default_context(cafile=authority)

    def get(url: str, *, timeout: float, verify: bool) -> httpx.Response:
        with httpx.Client(verify=verify and context) as client:
            return client.get(url, timeout=timeout)

    httpx.get = get  # type: ignore[assignment] # only the arguments that the package passes


if __name__ == "__main__":
    terraform.work = with_provider_snapshots(terraform.work)
    host, _, target = os.environ["DEVAI_TEST_LOAD_BALANCER"].partition("=")
    resolve_to(host, target.partition(":")[0], int(target.partition(":")[2]))
    trust(os.environ["DEVAI_TEST_AUTHORITY"])
    program.run()

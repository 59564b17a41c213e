"""`inv` in a rehearsal: three things that can't be had without a cloud are played, all else is the program as it is.

- Terraform asks providers that answer from recorded schemas, and keeps its state in a file.
- The lab's host name leads to a load balancer of this machine (DEVAI_REHEARSAL_LOAD_BALANCER, as HOST=ADDRESS:PORT).
- Its certificate is signed by an authority of the tests' own (DEVAI_REHEARSAL_AUTHORITY, a file).
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


def on_recordings(real: Callable[..., AbstractContextManager[terraform.TerraformProject]]) -> Callable[..., Any]:
    """Terraform's work as it is, but always on recorded schemas."""

    def work(
        project: Project, settings: Settings, *, offline: bool = False, dry: bool = False, looking: bool = False
    ) -> AbstractContextManager[terraform.TerraformProject]:
        del offline
        return real(project, settings, offline=True, dry=dry, looking=looking)

    return work


def play_the_name_server(host: str, address: str, port: int) -> None:
    """Have a name lead to an address of this machine, whatever port is asked for."""
    real = socket.getaddrinfo

    def getaddrinfo(name: Any, service: Any, *arguments: Any, **options: Any) -> Any:
        if name in (host, host.encode()):
            return real(address, port, *arguments, **options)
        return real(name, service, *arguments, **options)

    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment] # more forms than a stand-in has


def trust(authority: str) -> None:
    """Have the look at a site trust one more authority."""
    context = ssl.create_default_context(cafile=authority)

    def get(url: str, *, timeout: float, verify: bool) -> httpx.Response:
        with httpx.Client(verify=verify and context) as client:
            return client.get(url, timeout=timeout)

    httpx.get = get  # type: ignore[assignment] # the one form that is used


if __name__ == "__main__":
    terraform.work = on_recordings(terraform.work)
    host, _, target = os.environ["DEVAI_REHEARSAL_LOAD_BALANCER"].partition("=")
    play_the_name_server(host, target.partition(":")[0], int(target.partition(":")[2]))
    trust(os.environ["DEVAI_REHEARSAL_AUTHORITY"])
    program.run()

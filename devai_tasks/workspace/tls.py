"""HTTPS on this machine: the certificate of a stack, created at first use."""

from __future__ import annotations

import os
import socket

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system import certificates, console
from devai_tasks.workspace import state

CERTIFICATE, KEY = "tls.crt", "tls.key"


def ensure_certificate(project: Project, settings: Settings) -> bool:
    """Ensure the stack's certificate in `.devai/<stack>/`; return whether a new one was created.

    A certificate is kept until it expires soon, the lab's address changes, or mkcert becomes available to sign it. Only
    the lab's user can read the key.
    """
    folder = state.private_folder(project.state(settings.stack))
    certificate, key = folder / CERTIFICATE, folder / KEY
    hosts = names(settings)
    if key.exists() and certificates.good(certificate, hosts):
        return False
    for file in (certificate, key):
        state.write(file, "")
    signer = certificates.make(certificate, key, hosts, f"{settings.project.name}-{settings.stack}")
    key.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(key, settings.engine.uid, settings.engine.gid)
    certificate.chmod(0o644)
    console.say(f"certificate for {', '.join(hosts)}: signed by {signer}, in {certificate.relative_to(project.root)}")
    return True


def names(settings: Settings) -> list[str]:
    """Return the host names and addresses by which a browser may reach this machine."""
    hosts = {"localhost", "127.0.0.1", settings.network.bind_address}
    hosts |= {name for name in settings.network.allowed_hosts if not name.startswith(".")}
    if settings.network.bind_address == "0.0.0.0":  # noqa: S104 - any name or address of the machine
        hosts |= {socket.gethostname(), *_addresses()}
    return sorted(hosts - {"0.0.0.0"})  # noqa: S104 - not an address that a browser opens


def _addresses() -> list[str]:
    """Return the IPv4 addresses that this machine's name resolves to; empty if it does not resolve."""
    try:
        entries = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return [str(entry[4][0]) for entry in entries]

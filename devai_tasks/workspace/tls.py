"""HTTPS on this machine: the certificate of a stack, made at first use."""

from __future__ import annotations

import os
import socket

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system import certificates, console
from devai_tasks.workspace import state

CERTIFICATE, KEY = "tls.crt", "tls.key"


def provide(project: Project, settings: Settings) -> bool:
    """Have the stack's certificate in `.devai/<stack>/`; whether it is a new one.

    It is kept until its end is near, the lab has another address, or mkcert could sign it now. The lab's user reads
    the key, and on this machine nobody else.
    """
    folder = state.private_folder(project.state(settings.stack))
    certificate, key = folder / CERTIFICATE, folder / KEY
    wanted = names(settings)
    if key.exists() and certificates.good(certificate, wanted):
        return False
    for file in (certificate, key):
        state.write(file, "")
    signer = certificates.make(certificate, key, wanted, f"{settings.project.name}-{settings.stack}")
    key.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(key, settings.engine.uid, settings.engine.gid)
    certificate.chmod(0o644)
    console.say(f"certificate for {', '.join(wanted)}: signed by {signer}, in {certificate.relative_to(project.root)}")
    return True


def names(settings: Settings) -> list[str]:
    """What a browser may call this machine by."""
    own = {"localhost", "127.0.0.1", settings.network.bind_address}
    own |= {name for name in settings.network.allowed_hosts if not name.startswith(".")}
    if settings.network.bind_address == "0.0.0.0":  # noqa: S104 - then by all of its names
        own |= {socket.gethostname(), *_addresses()}
    return sorted(own - {"0.0.0.0"})  # noqa: S104 - no browser goes there


def _addresses() -> list[str]:
    """The addresses of this machine's name, as far as it knows them."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return [str(address[4][0]) for address in found]

"""Image registries, asked directly: only whether one is there, before an engine waits for it."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

DOCKER_HUB = "registry-1.docker.io"


def host(image: str) -> str:
    """The registry that an image reference names; without one it is Docker Hub.

    The first part is a host when it has a dot or a port, or is localhost (the reference grammar of `distribution`).
    """
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def url(host: str) -> str:
    """Where a registry's API is: Docker talks plain HTTP to this machine, and to no other."""
    return f"{'http' if on_this_machine(host) else 'https'}://{host}"


def on_this_machine(host: str) -> bool:
    """Whether a host, with or without its port, is the loopback."""
    return host.startswith("127.") or host.partition(":")[0] == "localhost"


def answers(image: str, *, seconds: float = 5) -> bool:
    """Whether the registry of an image answers at all; a refusal for want of a login is an answer.

    So is a certificate of an authority that only the engine knows, as a company's network has them.
    """
    try:
        urllib.request.urlopen(f"{url(host(image))}/v2/", timeout=seconds).close()  # noqa: S310 - http(s) by construction
    except urllib.error.HTTPError:
        return True
    except OSError as error:
        return isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True

"""Image registries, accessed directly: checks whether a registry answers, before an engine waits for it."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

DOCKER_HUB = "registry-1.docker.io"


def host(image: str) -> str:
    """Return the registry of an image reference; without one, Docker Hub.

    The first part is a host if it has a dot or a port, or is localhost (the reference grammar of `distribution`).
    """
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def url(host: str) -> str:
    """Return the URL of a registry's API: Docker uses plain HTTP for this machine only."""
    return f"{'http' if on_this_machine(host) else 'https'}://{host}"


def on_this_machine(host: str) -> bool:
    """Whether a host, with or without its port, is the loopback address."""
    return host.startswith("127.") or host.partition(":")[0] == "localhost"


def answers(image: str, *, seconds: float = 5) -> bool:
    """Whether the registry of an image answers.

    A response that requires a login counts as an answer. So does a certificate of an unknown authority, because in a
    company network only the engine may trust that authority.
    """
    try:
        urllib.request.urlopen(f"{url(host(image))}/v2/", timeout=seconds).close()  # noqa: S310 - http(s) by construction
    except urllib.error.HTTPError:
        return True
    except OSError as error:
        return isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True

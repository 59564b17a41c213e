"""Validation rules for combinations of keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple
from urllib.parse import urlsplit

from devai_tasks.config import naming
from devai_tasks.config.fields import RFC_1918
from devai_tasks.config.reader import UnreadableError
from devai_tasks.config.schema import Settings


class Mistake(NamedTuple):
    """An invalid value.

    Attributes:
        key: The key with the invalid value.
        allowed: What is allowed there.
        code: The error code in docs/troubleshooting.md; empty for an error without an entry.
    """

    key: tuple[str, ...]
    allowed: str
    code: str = ""


Rule = Callable[[Settings], Iterator[Mistake]]
"""Yields the mistakes in the combined settings of a stack."""

# Variables that the Compose file, the image and its entrypoint set: other values would break the lab or its security.
OWN_VARIABLES = {
    "HOME", "JUPYTER_ALLOWED_HOSTS", "JUPYTER_BASE_URL", "JUPYTER_DISPLAY_URL", "JUPYTER_PORT", "JUPYTER_RUNTIME_DIR",
    "JUPYTER_TOKEN", "NB_GID", "NB_UID", "OLLAMA_HOST", "PATH", "SHELL", "USER",
}  # fmt: skip
# Prefix under which the lab's entrypoint receives each variable of `env` (deploy/image/lab-env.sh).
ENV_PREFIX = "DEVAI_ENV_"
# Variables that change the behavior of bash and the dynamic loader before a program starts (bash(1), "Shell Variables";
# ld.so(8), "Environment"), and variables that are read-only in bash.
UNSAFE_VARIABLES = re.compile(
    r"BASH.*|ENV|SHELLOPTS|IFS|PS4|CDPATH|GLOBIGNORE|LD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|UID|EUID|PPID"
)
EVERYWHERE = IPv4Network("0.0.0.0/0")
# Labels by which the manifests select pods.
OWN_LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/managed-by", "devai.io/project-id", "devai.io/stack"}
# Names of namespaces and label values have at most 63 characters, including the suffixes of the stack's objects.
LONGEST_STACK = 55
# Private networks including RFC 6598; deploy/kubernetes/base/network-policies.yaml has all blocked networks.
_PRIVATE = (*RFC_1918, IPv4Network("100.64.0.0/10"))


def mistakes(rules: Iterable[Rule], settings: Settings) -> Iterator[Mistake]:
    """Yield the mistakes that rules find; a rule that needs an unreadable value is skipped."""
    for rule in rules:
        with suppress(UnreadableError):
            yield from rule(settings)


def _protection(settings: Settings) -> Iterator[Mistake]:
    if settings.protected and settings.network.bind_address == "0.0.0.0":  # noqa: S104 - the value is rejected
        yield Mistake(
            ("network", "bind_address"), "one address: a protected stack must not be published on all addresses"
        )


def _services(settings: Settings) -> Iterator[Mistake]:
    if settings.ollama.mode == "external" and not settings.ollama.url:
        yield Mistake(("ollama", "mode"), "external requires ollama.url, the URL of the server")
    if settings.ollama.mode == "container" and settings.ports.lab == settings.ports.ollama:
        yield Mistake(("ports", "ollama"), "a port other than ports.lab")
    replicas = settings.compute.replicas
    if replicas.min > replicas.max:
        yield Mistake(("compute", "replicas", "max"), f"at least {replicas.min}, which is compute.replicas.min")


def _names(settings: Settings) -> Iterator[Mistake]:
    for section in ("env", "secrets"):
        for name in sorted(getattr(settings, section)):
            if name in OWN_VARIABLES or name.startswith(ENV_PREFIX):
                yield Mistake((section, name), f"another name: the stack sets {name} itself")
            elif UNSAFE_VARIABLES.fullmatch(name):
                reason = "it changes bash or the dynamic loader before the lab starts, or is read-only in bash"
                allowed = f"another name: {reason}; set {name} in the lab, for the program that needs it"
                yield Mistake((section, name), allowed)
    for name in sorted(set(settings.env) & set(settings.secrets)):
        yield Mistake(("env", name), "another name: secrets has the same one")


def _manifests(settings: Settings) -> Iterator[Mistake]:
    if not settings.compute.uses_kubernetes:
        return
    name = naming.stack(settings)
    if len(name) > LONGEST_STACK:
        yield Mistake(
            ("project", "name"), f"a shorter name: the namespace {name} would have more than {LONGEST_STACK} characters"
        )
    for label in sorted(OWN_LABELS & set(settings.labels)):
        yield Mistake(("labels", label), f"another label: the manifests set {label} themselves")
    if private := _private_ollama(settings):
        yield Mistake(
            ("network", "egress_cidrs"),
            f"a network that contains {private}, the private address in ollama.url",
        )


def _private_ollama(settings: Settings) -> str:
    """Return the private address of an external Ollama that the lab's network policies block.

    Returns:
        The address; empty if no address is blocked, or if `ollama.url` has a host name.
    """
    url, networks = settings.ollama.url, map(IPv4Network, settings.network.egress_cidrs)
    try:
        address = IPv4Address(urlsplit(url).hostname or "")
    except ValueError:
        return ""
    # On this machine, the lab also runs with Compose, where it may connect anywhere.
    is_restricted = settings.ollama.mode == "external" and not settings.compute.uses_compose
    is_private = is_restricted and any(address in network for network in _PRIVATE)
    return "" if not is_private or any(address in network for network in networks) else str(address)


RULES: tuple[Rule, ...] = (_protection, _services, _names, _manifests)
"""Rules of all stacks; each cloud adds its own."""

"""What must hold between keys."""

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
    """A key at fault, what is allowed there, and the code of the error where it has an entry of its own."""

    key: tuple[str, ...]
    allowed: str
    code: str = ""


Rule = Callable[[Settings], Iterator[Mistake]]
"""Yields what is wrong between the keys of a stack."""

# What the Compose file, the image and its entrypoint set: another value would break the lab or its promises.
OWN_VARIABLES = {
    "HOME", "JUPYTER_ALLOWED_HOSTS", "JUPYTER_BASE_URL", "JUPYTER_DISPLAY_URL", "JUPYTER_PORT", "JUPYTER_RUNTIME_DIR",
    "JUPYTER_TOKEN", "NB_GID", "NB_UID", "OLLAMA_HOST", "PATH", "SHELL", "USER",
}  # fmt: skip
# Under it the lab's entrypoint gets each variable of `env`, as deploy/image/lab-env.sh has it.
ENV_PREFIX = "DEVAI_ENV_"
# What bash and the dynamic loader obey before a program is asked (bash(1), "Shell Variables"; ld.so(8), "Environment"),
# and what bash never lets anyone set.
UNSAFE_VARIABLES = re.compile(
    r"BASH.*|ENV|SHELLOPTS|IFS|PS4|CDPATH|GLOBIGNORE|LD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|UID|EUID|PPID"
)
EVERYWHERE = IPv4Network("0.0.0.0/0")
# By these the manifests find the pods that they are about.
OWN_LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/managed-by", "devai.io/project-id", "devai.io/stack"}
# An object's name, which namespaces and labels limit to 63 characters, with what is added to the stack's.
LONGEST_STACK = 55
# With that of RFC 6598; deploy/kubernetes/base/network-policies.yaml has all that is closed.
_PRIVATE = (*RFC_1918, IPv4Network("100.64.0.0/10"))


def mistakes(rules: Iterable[Rule], settings: Settings) -> Iterator[Mistake]:
    """Yield all that is wrong between the keys of a stack, as far as these could be read."""
    for rule in rules:
        with suppress(UnreadableError):
            yield from rule(settings)


def _protection(settings: Settings) -> Iterator[Mistake]:
    if settings.protected and settings.network.bind_address == "0.0.0.0":  # noqa: S104 - the check against it
        yield Mistake(
            ("network", "bind_address"), "a protected stack is not published to every network: name one address"
        )


def _services(settings: Settings) -> Iterator[Mistake]:
    if settings.ollama.mode == "external" and not settings.ollama.url:
        yield Mistake(("ollama", "mode"), "external needs the server's address in ollama.url")
    if settings.ollama.mode == "container" and settings.ports.lab == settings.ports.ollama:
        yield Mistake(("ports", "ollama"), "the same port as ports.lab")
    replicas = settings.compute.replicas
    if replicas.min > replicas.max:
        yield Mistake(("compute", "replicas", "max"), f"at least {replicas.min}, which is compute.replicas.min")


def _names(settings: Settings) -> Iterator[Mistake]:
    for section in ("env", "secrets"):
        for name in sorted(getattr(settings, section)):
            if name in OWN_VARIABLES or name.startswith(ENV_PREFIX):
                yield Mistake((section, name), f"{name} is set by the stack itself")
            elif UNSAFE_VARIABLES.fullmatch(name):
                reason = "bash or the loader obeys it before the lab starts, or lets nobody set it"
                allowed = f"another name: {reason}; set {name} in the lab, for the program that needs it"
                yield Mistake((section, name), allowed)
    for name in sorted(set(settings.env) & set(settings.secrets)):
        yield Mistake(("env", name), "is also the name of a secret; which one is meant?")


def _manifests(settings: Settings) -> Iterator[Mistake]:
    if not settings.compute.uses_kubernetes:
        return
    name = naming.stack(settings)
    if len(name) > LONGEST_STACK:
        yield Mistake(
            ("project", "name"), f"shorter: {name} has more than {LONGEST_STACK} characters, too many for a namespace"
        )
    for label in sorted(OWN_LABELS & set(settings.labels)):
        yield Mistake(("labels", label), f"{label} is set by the manifests themselves")
    if private := _private_ollama(settings):
        yield Mistake(
            ("network", "egress_cidrs"),
            f"a network with {private}, which is not on the public internet: ollama.url",
        )


def _private_ollama(settings: Settings) -> str:
    """The address of an Ollama elsewhere that the lab's policies keep it from; empty for none, and for a name."""
    url, networks = settings.ollama.url, map(IPv4Network, settings.network.egress_cidrs)
    try:
        address = IPv4Address(urlsplit(url).hostname or "")
    except ValueError:
        return ""
    # On this machine, manifests are beside Compose, whose labs may connect anywhere.
    concerned = settings.ollama.mode == "external" and not settings.compute.uses_compose
    private = concerned and any(address in network for network in _PRIVATE)
    return "" if not private or any(address in network for network in networks) else str(address)


RULES: tuple[Rule, ...] = (_protection, _services, _names, _manifests)
"""Of all stacks; each cloud has more."""

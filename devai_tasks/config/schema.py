"""The single source of keys, types, units, defaults and their documentation.

The value of a key is either a default in `sections/` or is set in `conf/`, where users look for values to change; never
in both. `reader.py` converts the merged layers to these classes. `rules.py` validates combinations of keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devai_tasks.config.fields import LABEL, NO_DIGEST, PIN, key, matching, section
from devai_tasks.config.secrets import NAME, Secret
from devai_tasks.config.sections import cloud, kubernetes, lab, project, storage
from devai_tasks.config.stack import Stack
from devai_tasks.config.variables import DECLARABLE

# Layers that may protect a stack: the shared files, but not a personal configuration.
SHARED = ("common", "clouds", "profiles", "stacks")
VARIABLE = matching(r"[A-Za-z_][A-Za-z0-9_]*", "a name for an environment variable")
SECRET = matching(NAME, "a name for a secret, such as OPENAI_API_KEY")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of one stack: merged, interpolated, validated, read-only."""

    stack: Stack
    defaults: lab.Defaults = section("Stack that tasks use without `--env` and `--cloud`.")
    protected: bool = key(
        "Whether the stack is protected: destructive tasks ask the user to type the names of project and stack, and "
        "stricter rules apply.",
        default=False,
        layers=SHARED,
        tasks="what tasks ask for confirmation, and whether conf/personal.yaml is read",
    )
    project: project.Project = section("Name and identity of the project.")
    image: lab.Image = section("The lab's image.")
    engine: lab.Engine = section("Container engine on this machine.")
    gpu: lab.Gpu = section("GPUs of the stack.")
    ports: lab.Ports = section("Ports of the services.")
    resources: lab.Resources = section("Resource limits of each service.")
    storage: storage.Storage = section("Work folder and volumes.")
    network: cloud.Network = section("Addresses of the lab, and the networks that may connect to it.")
    ingress: cloud.Ingress = section("How a browser reaches the lab in a cloud or cluster.")
    tls: cloud.Tls = section("HTTPS.")
    dns: cloud.Dns = section("DNS records for the lab's host name.")
    ollama: lab.Ollama = section("The model server.")
    vector_store: lab.VectorStore = section("Database for embeddings, on this machine.")
    models: tuple[str, ...] = key(
        "Models of the lab: names in the model hub, or paths of GGUF files, relative to the project.",
        check=matching(r"[\w./:@-]+", "a model name or a path"),
        tasks="the models that up and models.pull load",
    )
    env: Mapping[str, str] = key(
        "Environment variables of notebooks and hooks. Must not contain secrets, nor variables that change the "
        "behavior of bash or the dynamic loader, such as BASH_ENV or LD_PRELOAD.",
        check=VARIABLE,
    )
    secrets: Mapping[str, Secret] = key(
        "Environment variables of the lab that contain secrets: the variable's name, and a reference to the secret as "
        "`${secret:NAME}`.",
        check=SECRET,
        tasks="what compose.up and k8s.secrets pass to the lab, and tf.plan and tf.apply to the cloud's secret manager",
    )
    variables: tuple[str, ...] = key(
        "Environment variables of this machine that values may refer to as `${oc.env:NAME,default}`, in addition to "
        "HOST_IP and SSL_CERT_FILE. Must not contain secrets.",
        default=(),
        check=DECLARABLE,
        layers=("common",),
        tasks="which environment variables values may refer to",
    )
    labels: Mapping[str, str] = key("Labels of all containers and resources of the stack.", check=LABEL)
    pins: tuple[str, ...] = key(
        "Pinned images, each with its digest; `inv image.lock` resolves the digests.",
        default=(),
        check=PIN,
        tasks="which digest of an image is used as a base, pulled and deployed",
    )
    compute: cloud.Compute = section("Provider, platform and replicas of the stack.")
    kubernetes: kubernetes.Kubernetes = section("Kubernetes cluster of the stack.")
    terraform: cloud.Terraform = section("Terraform, and the account and region that it deploys to.")

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that the stack is rendered for, in the order of deployment."""
        uses = {
            "image": True,
            "compose": self.compute.uses_compose,
            "terraform": self.compute.uses_terraform,
            "kubernetes": self.compute.uses_kubernetes,
        }
        return tuple(name for name, used in uses.items() if used)

    @property
    def image_digest_key(self) -> str:
        """Key of the digest of the lab's image; the image for NVIDIA GPUs has its own key."""
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
        """Whether the cluster pulls the lab's image from a registry; otherwise the image is loaded into the cluster."""
        return not self.compute.uses_compose and bool(self.image.registry)

    @property
    def hub_models(self) -> list[str]:
        """Models that the bundled Ollama pulls from the hub; the other models are files on this machine."""
        return [name for name in self.models if self.ollama.is_bundled and not name.lower().endswith(".gguf")]

    @property
    def has_gpu_pods(self) -> bool:
        """Whether pods of the stack use GPUs."""
        return self.gpu.enabled and (self.ollama.is_bundled or self.gpu.lab)

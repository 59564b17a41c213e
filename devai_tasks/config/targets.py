"""What a stack is rendered for: targets, the names of their artifacts, and the conditions that these depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings

Known = Callable[[str, str], str]
"""What is known of a key, by its section and name, before there are settings to ask."""

# The secret that every lab has.
TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the name of a variable

COMPOSE_ENV = "compose/.env"
COMPOSE_STACK = "compose/docker-compose.stack.yml"
BAKE = "image/docker-bake.json"
TFVARS: Mapping[str, str] = {
    "aws": "terraform/aws.tfvars.json",
    "azure": "terraform/azure.tfvars.json",
    "gcp": "terraform/gcp.tfvars.json",
}
BACKEND = "terraform/state.tfbackend"
# The digest of no image: what stands for it before there is one.
NO_DIGEST = f"sha256:{'0' * 64}"

# The leaf of a stack's manifests: one file for each thing that they are about.
K8S_KUSTOMIZATION = "kubernetes/kustomization.yaml"  # what takes part: namespace, overlay, components, images, labels
K8S_ENVIRONMENT = "kubernetes/environment.yaml"  # the variables of lab and Ollama
K8S_LAB = "kubernetes/lab.yaml"  # the lab's size, port and probes
K8S_OLLAMA = "kubernetes/ollama.yaml"  # Ollama's size
K8S_MODELS = "kubernetes/models.yaml"  # the job that brings models
K8S_GPU = "kubernetes/gpu.yaml"
K8S_STORAGE = "kubernetes/storage.yaml"  # volumes and claims
K8S_INGRESS = "kubernetes/ingress.yaml"  # how a browser gets there
K8S_NETWORK = "kubernetes/network.yaml"  # who may connect to the lab inside of the cluster
K8S_SCALING = "kubernetes/scaling.yaml"  # how many labs there are
K8S_IDENTITY = "kubernetes/identity.yaml"  # who the lab is to its cloud
K8S_SECRETS = "kubernetes/secrets.yaml"  # which secrets the lab gets

TERRAFORM = tuple(TFVARS.values())


def cuda(settings: Settings) -> bool:
    """In stacks with NVIDIA's GPUs."""
    return settings.gpu.enabled and settings.gpu.vendor == "nvidia"


def own_ollama(settings: Settings) -> bool:
    """In stacks that run an Ollama of their own."""
    return settings.ollama.mode == "container"


def ollama_on_host(settings: Settings) -> bool:
    """In stacks whose Ollama runs on this machine, outside of the containers."""
    named = settings.ollama.mode == "external" and "//host.docker.internal" in settings.ollama.url
    return named or settings.ollama.mode == "host"


def unpublished_ollama(settings: Settings) -> bool:
    """In stacks whose own Ollama has no port on this machine."""
    return own_ollama(settings) and settings.ports.ollama is None


def other_ollama(settings: Settings) -> bool:
    """In stacks that use a server elsewhere."""
    return settings.ollama.mode == "external"


def pushed(settings: Settings) -> bool:
    """In stacks whose image has been pushed."""
    return digest(settings) != NO_DIGEST


def digest(settings: Settings) -> str:
    """That of the image that the stack runs: `digest_key` has it."""
    return settings.image.gpu.digest if cuda(settings) else settings.image.digest


def digest_key(settings: Settings) -> str:
    """Which key that is: the image for NVIDIA's GPUs is another one, and neither is rolled out in the other's place."""
    return "image.gpu.digest" if cuda(settings) else "image.digest"


def scaled(settings: Settings) -> bool:
    """In stacks whose number of labs follows the work."""
    return settings.compute.replicas.max > settings.compute.replicas.min


def on_a_simple_platform(settings: Settings) -> bool:
    """In stacks that a cloud runs without a cluster."""
    return settings.compute.platform == "simple"


def pulled_image(settings: Settings) -> bool:
    """In stacks whose cluster takes the image from a registry."""
    return settings.compute.provider != "local" and bool(settings.image.registry)


def pulled_on_an_own_cluster(settings: Settings) -> bool:
    """In those of them whose cluster might have the image loaded as well."""
    return settings.compute.provider == "none" and pulled_image(settings)


def loaded_image(settings: Settings) -> bool:
    """In stacks whose image is loaded into the cluster."""
    return not pulled_image(settings)


def one_nodes_home(settings: Settings) -> bool:
    """In stacks whose home is on a disk that one node has at a time, of several; clouds have shared file systems."""
    return settings.compute.provider == "none" and settings.storage.access == "ReadWriteOnce"


def hub_models(settings: Settings) -> list[str]:
    """The models that a stack's own Ollama fetches from the hub; the others are files of somebody's machine."""
    return [name for name in settings.models if own_ollama(settings) and not name.lower().endswith(".gguf")]


def gpu_pods(settings: Settings) -> bool:
    """In stacks with pods that get GPUs."""
    return settings.gpu.enabled and (own_ollama(settings) or settings.gpu.lab)


def has_image(_: Settings) -> bool:
    """Whether a stack has an image: each has."""
    return True


def has_compose(settings: Settings) -> bool:
    """Whether Docker Compose runs the stack."""
    return settings.compute.provider == "local"


def has_terraform(settings: Settings) -> bool:
    """Whether Terraform makes what the stack runs on."""
    return settings.compute.provider in TFVARS


def has_kubernetes(settings: Settings) -> bool:
    """Whether the stack has manifests for a cluster."""
    return settings.compute.platform == "kubernetes"


# In the order in which they are brought up.
_TARGETS = {"image": has_image, "compose": has_compose, "terraform": has_terraform, "kubernetes": has_kubernetes}


def of_stack(settings: Settings) -> tuple[str, ...]:
    """The targets of a stack, in the order in which they are brought up."""
    return tuple(name for name, has_target in _TARGETS.items() if has_target(settings))


def by_target(artefacts: frozenset[str]) -> dict[str, list[str]]:
    """Artefacts, grouped by the target that they belong to."""
    groups: dict[str, Any] = {}
    for artefact in sorted(artefacts):
        target, _, file = artefact.partition("/")
        groups.setdefault(target, []).append(file)
    return groups

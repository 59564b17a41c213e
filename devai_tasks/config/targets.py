"""What a stack is rendered for: targets, the names of their artefacts, and which keys reach which of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings

Known = Callable[[str, str], str]
"""What is known of a key, by its section and name, before there are settings to ask."""

COMPOSE_ENV = "compose/.env"
COMPOSE_STACK = "compose/docker-compose.stack.yml"
BAKE = "image/docker-bake.json"
TFVARS: Mapping[str, str] = {
    "aws": "terraform/aws.tfvars.json",
    "azure": "terraform/azure.tfvars.json",
    "gcp": "terraform/gcp.tfvars.json",
}
BACKEND = "terraform/state.tfbackend"
# Domains in which a cloud names its load balancers, and nobody else an address. Google's have none.
BALANCERS: Mapping[str, tuple[str, ...]] = {
    "aws": (".elb.amazonaws.com", ".elb.amazonaws.com.cn"),
    "azure": (".cloudapp.azure.com",),
}
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


def always(_: Settings) -> bool:
    """In every stack that has the target."""
    return True


def gpu(settings: Settings) -> bool:
    """In stacks with GPUs."""
    return settings.gpu.enabled


def cuda(settings: Settings) -> bool:
    """In stacks with NVIDIA's GPUs."""
    return settings.gpu.enabled and settings.gpu.vendor == "nvidia"


def listed_gpus(settings: Settings) -> bool:
    """In stacks whose GPUs are devices by name: with AMD's, and with NVIDIA's on Podman."""
    return settings.gpu.vendor == "amd" or settings.engine.name == "podman"


def podman_gpu(settings: Settings) -> bool:
    """In stacks with NVIDIA's GPUs on Podman."""
    return cuda(settings) and settings.engine.name == "podman"


def cuda13(settings: Settings) -> bool:
    """In stacks with GPUs of CUDA 13."""
    return cuda(settings) and settings.image.gpu.cuda == "13"


def cuda12(settings: Settings) -> bool:
    """In stacks with GPUs of CUDA 12."""
    return cuda(settings) and settings.image.gpu.cuda == "12"


def no_cuda(settings: Settings) -> bool:
    """In stacks without NVIDIA's GPUs."""
    return not cuda(settings)


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


def on_azure(settings: Settings) -> bool:
    """In stacks of Azure."""
    return settings.compute.provider == "azure"


def on_aws(settings: Settings) -> bool:
    """In stacks of Amazon's."""
    return settings.compute.provider == "aws"


def models_on_aws(settings: Settings) -> bool:
    """In stacks of Amazon's that keep models."""
    return on_aws(settings) and own_ollama(settings)


def on_google(settings: Settings) -> bool:
    """In stacks of Google Cloud."""
    return settings.compute.provider == "gcp"


def scaled(settings: Settings) -> bool:
    """In stacks whose number of labs follows the work."""
    return settings.compute.replicas.max > settings.compute.replicas.min


def on_a_cloud_now(settings: Settings) -> bool:
    """In stacks that Terraform makes."""
    return settings.compute.provider in TFVARS


def on_an_own_cluster(settings: Settings) -> bool:
    """In stacks whose cluster Terraform does not make."""
    return not on_a_cloud_now(settings)


def on_a_simple_platform(settings: Settings) -> bool:
    """In stacks that a cloud runs without a cluster."""
    return settings.compute.platform == "simple"


def pulled_image(settings: Settings) -> bool:
    """In stacks whose cluster takes the image from a registry."""
    return settings.compute.provider != "local" and bool(settings.image.registry)


def pulled_on_an_own_cluster(settings: Settings) -> bool:
    """In those of them whose cluster might have the image loaded as well."""
    return settings.compute.provider == "none" and pulled_image(settings)


def pulled_cuda(settings: Settings) -> bool:
    """In those of them that have NVIDIA's GPUs."""
    return pulled_image(settings) and cuda(settings)


def pulled_no_cuda(settings: Settings) -> bool:
    """In the others of them."""
    return pulled_image(settings) and not cuda(settings)


def loaded_image(settings: Settings) -> bool:
    """In stacks whose image is loaded into the cluster."""
    return not pulled_image(settings)


def one_nodes_home(settings: Settings) -> bool:
    """In stacks whose home is on a disk that one node has at a time, of several; clouds have shared file systems."""
    return settings.compute.provider == "none" and settings.storage.access == "ReadWriteOnce"


def with_ingress(settings: Settings) -> bool:
    """In stacks that have an ingress: clouds bring a controller, elsewhere somebody has to name one."""
    return on_a_cloud_now(settings) or bool(settings.ingress.class_name)


def google_host(settings: Settings) -> bool:
    """In stacks with a host name for which Google makes a certificate."""
    return on_google(settings) and settings.tls.enabled and bool(settings.ingress.host)


def googles_certificate(settings: Settings) -> bool:
    """In those of them that have none yet: their ingress asks for it."""
    return google_host(settings) and not settings.terraform.certificate


def self_signed(settings: Settings) -> bool:
    """In stacks with a certificate that nobody vouches for: no person names one, and no cloud has issued one."""
    if not (on_a_cloud_now(settings) and settings.tls.enabled) or settings.terraform.certificate:
        return False
    return not (google_host(settings) or (on_aws(settings) and settings.ingress.host and settings.dns.zone))


def with_certificate(settings: Settings) -> bool:
    """In stacks whose ingress has to be told its certificate."""
    return with_ingress(settings) and settings.tls.enabled and not googles_certificate(settings)


def makes_load_balancer(settings: Settings) -> bool:
    """In stacks whose ingress makes the load balancer, with the firewall that it names: Azure's is Terraform's."""
    return settings.compute.provider in ("aws", "gcp")


def named_identity(settings: Settings) -> bool:
    """In stacks whose service account names its identity: a cluster on AWS knows it (EKS Pod Identity)."""
    return settings.compute.provider in ("azure", "gcp")


def given_home(settings: Settings) -> bool:
    """In stacks whose home is the file system that Terraform made."""
    return on_a_cloud_now(settings) and not settings.storage.home_class


def own_models_class(settings: Settings) -> bool:
    """In stacks whose models are on a storage class of their own."""
    return models_on_aws(settings) and not settings.storage.models_class


def own_ingress_class(settings: Settings) -> bool:
    """In stacks with an ingress class of their own."""
    return on_aws(settings) and not settings.ingress.class_name


def named_volumes(settings: Settings) -> bool:
    """In stacks with volumes or classes that have the stack's name."""
    return given_home(settings) or own_models_class(settings)


def named_secrets(settings: Settings) -> bool:
    """In stacks whose secrets have the stack's name in their cloud's manager: Azure has a vault for each stack."""
    return external_secrets(settings) and settings.compute.provider != "azure"


def hub_models(settings: Settings) -> list[str]:
    """The models that a stack's own Ollama fetches from the hub; the others are files of somebody's machine."""
    return [name for name in settings.models if own_ollama(settings) and not name.lower().endswith(".gguf")]


def pulls_models(settings: Settings) -> bool:
    """In stacks with a job that fetches models."""
    return bool(hub_models(settings))


def external_secrets(settings: Settings) -> bool:
    """In stacks whose secrets come from a cloud's manager into the cluster."""
    return bool(settings.kubernetes.secret_store)


def gpu_pods(settings: Settings) -> bool:
    """In stacks with pods that get GPUs."""
    return settings.gpu.enabled and (own_ollama(settings) or settings.gpu.lab)


def on_a_cloud(known: Known) -> bool:
    """Of stacks that Terraform makes, before there are settings to ask."""
    return known("compute", "provider") in TFVARS


def pulls_by_digest(known: Known) -> bool:
    """Of stacks that may take their image from a registry, before there are settings to ask."""
    return on_a_cloud(known) or known("compute", "provider") == "none"


def on_a_clouds_kubernetes(known: Known) -> bool:
    """Of stacks in a cluster that Terraform makes, before there are settings to ask."""
    return on_a_cloud(known) and known("compute", "platform") == "kubernetes"


def needs_certificate(known: Known) -> bool:
    """Of the same, where the ingress has to be told its certificate: not where Google makes it for a host name."""
    google = known("compute", "provider") == "gcp"
    made = google and known("ingress", "host") and not known("terraform", "certificate")
    return on_a_clouds_kubernetes(known) and not made


def needs_firewall(known: Known) -> bool:
    """Of the same, where the ingress has to be told its firewall."""
    return on_a_clouds_kubernetes(known) and known("compute", "provider") in ("aws", "gcp")


def needs_identity(known: Known) -> bool:
    """Of the same, where the service account has to be told its identity."""
    return on_a_clouds_kubernetes(known) and known("compute", "provider") != "aws"


def needs_address(known: Known) -> bool:
    """Of the same, where the ingress has to be told its address."""
    return on_a_clouds_kubernetes(known) and known("compute", "provider") == "gcp"


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

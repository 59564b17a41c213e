"""Configuration sections for where the lab runs and how clients reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from devai_tasks.config.fields import (
    HOST,
    LABEL,
    Check,
    Pending,
    between,
    cidrs,
    egress_cidrs,
    ipv4,
    key,
    matching,
    section,
)
from devai_tasks.config.units import Duration


@dataclass(frozen=True, kw_only=True)
class Network:
    """Addresses that the lab listens on, and the networks that may connect to it."""

    bind_address: str = key(
        "Address on this machine that the lab's port is published on; 0.0.0.0 publishes it on all addresses. Any "
        "address other than loopback requires tls.local or tls.proxy.",
        check=Check(ipv4, {"format": "ipv4"}),
    )
    base_url: str = key(
        "URL path that the lab is served under.",
        check=matching(r"/([\w.~-]+/)*", "a path that begins and ends with /, such as / or /lab/"),
    )
    allowed_hosts: tuple[str, ...] = key(
        "Additional host names that browsers use to reach the lab on this machine or in a cluster, such as the name of "
        "a proxy; a name that begins with a dot allows a whole domain. The lab accepts these names, `localhost`, "
        "`ingress.host`, the names of its Kubernetes service, the cloud's load balancer domain and any IP address, and "
        "rejects all others. Managed containers do not check host names.",
        default=(),
        check=matching(r"\.?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", "a lower-case host name, such as lab.example.com"),
    )
    allowed_cidrs: tuple[str, ...] = key(
        "Networks that may connect to the lab in a cloud and to the cluster's API server. Has no effect on an existing "
        "cluster (`compute.provider: none`), which controls access itself.",
        check=Check(cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )
    egress_cidrs: tuple[str, ...] = key(
        "Private networks that a lab in a cluster and its Ollama may connect to, in addition to the public internet, "
        "such as those of an external Ollama server, a proxy or a package mirror.",
        default=(),
        check=Check(egress_cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )
    load_balancers: tuple[str, ...] = key(
        "Networks that the cloud's load balancer connects to the lab from.",
        check=Check(cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """How a browser reaches the lab in a cloud or cluster."""

    host: str = key("Host name of the lab in a cloud or cluster; empty uses the load balancer's host name.", check=HOST)
    class_name: str = key(
        "Ingress class of the lab's ingress. Empty: on AWS a class created for the stack, on Google Cloud GKE's only "
        "class, and in an existing or local cluster no ingress; use `inv k8s.port-forward` there.",
        default="",
        check=matching(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", "the name of an IngressClass"),
    )
    controller: str = key(
        "Namespace of the ingress controller's pods, which may then connect to the lab; empty if the controller has no "
        "pods in the cluster.",
        default="",
        check=matching(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?", "the name of a namespace"),
    )
    firewall: str = key(
        "Firewall that restricts the load balancer to network.allowed_cidrs: ID of a security group on AWS, name of a "
        "Cloud Armor policy on Google Cloud. On Azure, Terraform attaches the firewall itself.",
        check=matching(r"[\w.-]*", "a security group ID or a policy name"),
        pending=Pending("tf.apply", "firewall.invalid"),
    )
    address: str = key(
        "Name of the load balancer's global address on Google Cloud, which the host name's DNS record points to; the "
        "load balancer's TLS policy has the same name.",
        check=matching(r"[\w.-]*", "the name of a global address"),
        pending=Pending("tf.apply", "address.invalid"),
    )
    annotations: Mapping[str, str] = key(
        "Additional annotations of the ingress, for features of its controller that no other key covers.", check=LABEL
    )


@dataclass(frozen=True, kw_only=True)
class Tls:
    """HTTPS."""

    local: bool = key(
        "Whether the lab serves HTTPS on this machine, with a certificate from mkcert or, if mkcert is not installed, "
        "a self-signed one."
    )
    proxy: bool = key(
        "Whether your own reverse proxy terminates TLS in front of the lab on this machine.",
        default=False,
        tasks="whether network.bind_address may be other than loopback without tls.local",
    )
    enabled: bool = key(
        "Whether the load balancer in a cloud or cluster serves HTTPS and redirects HTTP requests to HTTPS."
    )
    certificate: str = key(
        "TLS certificate of the ingress: an ARN on AWS, the name of a gateway certificate on Azure, the name of a "
        "certificate on Google Cloud, and in other clusters a secret in the stack's namespace. On Google Cloud, the "
        "ingress requests a certificate for ingress.host unless terraform.certificate names one.",
        check=matching(r"[\w.:/-]*", "an ARN or a name"),
        pending=Pending("tf.apply", "certificate.invalid"),
    )


@dataclass(frozen=True, kw_only=True)
class Dns:
    """DNS records for the lab's host name."""

    zone: str = key(
        "DNS zone in the cloud that Terraform creates the lab's records in; empty: `inv tf.apply` prints the records.",
        default="",
        check=HOST,
    )


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """Number of lab replicas; a user's session stays on one replica."""

    min: int = key("Minimum number of lab replicas.", check=between(1, 100))
    max: int = key("Maximum number of lab replicas.", check=between(1, 100))

    @property
    def are_autoscaled(self) -> bool:
        """Whether the number of lab replicas follows the load."""
        return self.max > self.min


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Provider, platform and replicas of the stack."""

    provider: Literal["local", "aws", "azure", "gcp", "none"] = key(
        "Provider that the stack runs on. local: this machine; aws, azure, gcp: infrastructure created by Terraform; "
        "none: an existing cluster.",
        tasks="what a stack is rendered for",
    )
    platform: Literal["kubernetes", "simple"] = key(
        "Platform that the stack runs on. kubernetes: a cluster; simple: the provider's managed containers (ECS "
        "Fargate, Container Instances, Cloud Run)."
    )
    replicas: Replicas = section("Number of lab replicas.")
    idle_timeout: Duration = key(
        "Time that a kernel may be idle before it is stopped and the data in its memory is lost; 0s: kernels are never "
        "stopped."
    )

    @property
    def uses_compose(self) -> bool:
        """Whether Docker Compose runs the stack."""
        return self.provider == "local"

    @property
    def uses_terraform(self) -> bool:
        """Whether Terraform creates the stack's infrastructure."""
        return self.provider not in ("local", "none")

    @property
    def uses_kubernetes(self) -> bool:
        """Whether the stack has manifests for a cluster."""
        return self.platform == "kubernetes"


@dataclass(frozen=True, kw_only=True)
class State:
    """Where Terraform keeps its state: one store for each account and region, with one state for each stack."""

    store: str = key(
        "Bucket (AWS, Google Cloud) or storage account (Azure) for Terraform's state; empty: a name derived from "
        "project, account and region.",
        default="",
        check=matching(r"([a-z0-9][a-z0-9-]{1,61}[a-z0-9])?", "3 to 63 lower-case letters, digits and hyphens"),
    )
    group: str = key(
        "Azure resource group that contains the storage account for Terraform's state; empty: a name derived from the "
        "project.",
        default="",
        check=matching(r"[\w().-]{0,90}", "the name of a resource group"),
    )


_IDENTITY = "whether a changed configuration names a different stack, which is refused while this one is deployed"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """Identity of the deployed stack, as its Terraform state records it.

    Tasks that read the state also record these values on this machine.
    """

    name: str = key(
        "Name of the stack's resources in the cloud. Empty: derived from `project`, environment, cloud, account and "
        "region. A deployed stack keeps its name.",
        default="",
        check=matching(r"([a-z][a-z0-9-]{1,23})?", "2 to 24 lower-case letters, digits and hyphens"),
    )
    unique: str = key(
        "Name of the stack's globally unique resources, such as buckets; derived and kept in the same way as "
        "`terraform.deployed.name`.",
        default="",
        check=matching(r"([a-z][a-z0-9]{2,23})?", "3 to 24 lower-case letters and digits"),
    )
    state: str = key(
        "Path of the stack's Terraform state in its store. Empty: project, account, region, cloud and environment. A "
        "stack deployed by version 0.1 keeps its state under the stack's name.",
        default="",
        check=matching(r"[a-z0-9/-]*", "a path of lower-case letters, digits and hyphens"),
    )
    store: str = key("Bucket or storage account that contains the deployed stack's state.", default="", tasks=_IDENTITY)
    group: str = key(
        "Azure resource group of the storage account that contains the deployed stack's state.",
        default="",
        tasks=_IDENTITY,
    )
    project: str = key(
        "The `project.name` that the stack was deployed with; empty if the stack's project is unknown.",
        default="",
        tasks=_IDENTITY,
    )
    project_id: str = key("The `project.id` that the stack was deployed with.", default="", tasks=_IDENTITY)
    account: str = key("The `terraform.account` that the stack was deployed with.", default="", tasks=_IDENTITY)
    region: str = key("The `terraform.region` that the stack was deployed with.", default="", tasks=_IDENTITY)


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """Terraform: the program, its state, and the account and region that it deploys to."""

    program: Literal["auto", "terraform", "tofu"] = key(
        "Program for Terraform tasks: terraform or tofu (OpenTofu); auto: the first of these that is installed.",
        tasks="the program that the tf tasks run",
    )
    state: State = section("Where Terraform keeps its state.")
    certificate: str = key(
        "Existing TLS certificate to use: the ARN of an ACM certificate, the secret ID of a Key Vault certificate, or "
        "the name of a Google Cloud certificate. Empty: a certificate is created, by the cloud where it issues them "
        "free of charge, otherwise self-signed.",
        default="",
        check=matching(r"[\w:/.-]*", "an ARN, the https address of a secret, or a name"),
    )
    secret_versions: Mapping[str, int] = key(
        "Version of each secret in the cloud's secret manager, by variable name; `inv tf.plan` increments the version "
        "of a secret whose value has changed."
    )
    region: str = key(
        "Region (on Azure: location) of all resources of the stack.",
        default="",
        check=matching(r"([a-z][a-z0-9-]{2,40})?", "a region, such as eu-central-1"),
    )
    account: str = key(
        "AWS account, Azure subscription or Google Cloud project that contains all resources of the stack; tasks "
        "refuse to change any other.",
        default="",
        check=matching(r"[a-z0-9-]{0,36}", "an account number, a subscription ID or a project ID"),
    )
    deployed: Deployed = section("Identity of the deployed stack, as its Terraform state records it.")

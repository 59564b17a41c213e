"""The sections about where the lab runs and how it is reached there."""

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
    """Where the lab is reached, and from where."""

    bind_address: str = key(
        "Address that the lab's port is published on; 0.0.0.0 is every one that the machine has. Beyond the loopback "
        "it takes tls.local or tls.proxy.",
        check=Check(ipv4, {"format": "ipv4"}),
    )
    base_url: str = key(
        "Path under which the lab answers.",
        check=matching(r"/([\w.~-]+/)*", "a path that begins and ends with /, such as / or /lab/"),
    )
    allowed_hosts: tuple[str, ...] = key(
        "Host names by which browsers reach the lab on this machine or in a cluster, such as that of a proxy; one that "
        "begins with a dot is a whole domain. The lab answers under these, `localhost`, `ingress.host`, its service's "
        "names, its cloud's domain of load balancers and any IP address, and refuses others. Managed containers check "
        "no host names.",
        default=(),
        check=matching(
            r"\.?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", "a host name in small letters, such as lab.example.com"
        ),
    )
    allowed_cidrs: tuple[str, ...] = key(
        "Networks that may open connections to the lab in a cloud, and to its cluster's API server. A cluster of your "
        "own decides that by itself.",
        check=Check(cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )
    egress_cidrs: tuple[str, ...] = key(
        "Private networks that a lab in a cluster and its Ollama may connect to, beside the public internet: of an "
        "Ollama elsewhere, a proxy, a mirror of packages.",
        default=(),
        check=Check(egress_cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )
    load_balancers: tuple[str, ...] = key(
        "Networks that the cloud's load balancer speaks to the lab from.",
        check=Check(cidrs, {"pattern": r"^[0-9.]+/[0-9]+$"}),
    )


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """How a browser gets to the lab in a cloud or cluster."""

    host: str = key("Host name of the lab; empty for the load balancer's own.", check=HOST)
    class_name: str = key(
        "The cluster's ingress class. Empty: on AWS one of the stack's own, on Google Cloud its only one, and in a "
        "cluster of your own no ingress; `inv k8s.port-forward` goes there.",
        default="",
        check=matching(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", "the name of an IngressClass"),
    )
    controller: str = key(
        "Namespace of the ingress controller's pods, which may then connect to the lab; empty where there are none.",
        default="",
        check=matching(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?", "the name of a namespace"),
    )
    firewall: str = key(
        "What opens the load balancer to network.allowed_cidrs: a security group on AWS, a policy of Cloud Armor on "
        "Google Cloud. Elsewhere Terraform attaches it by itself.",
        check=matching(r"[\w.-]*", "a security group's id, or a policy's name"),
        pending=Pending("tf.apply", "firewall.invalid"),
    )
    address: str = key(
        "Name of the load balancer's address on Google Cloud, which the record of the host name has; and of its "
        "policy for TLS.",
        check=matching(r"[\w.-]*", "the name of a global address"),
        pending=Pending("tf.apply", "address.invalid"),
    )
    annotations: Mapping[str, str] = key(
        "Annotations of the ingress, for what its controller offers beyond these keys.", check=LABEL
    )


@dataclass(frozen=True, kw_only=True)
class Tls:
    """HTTPS."""

    local: bool = key(
        "Whether the lab speaks HTTPS on this machine, by a certificate of mkcert's or, without that, one of its own."
    )
    proxy: bool = key(
        "Whether a proxy of your own terminates TLS before the lab on this machine.",
        default=False,
        tasks="whether network.bind_address may be beyond the loopback without tls.local",
    )
    enabled: bool = key("Whether in a cloud or cluster the load balancer speaks HTTPS and redirects the rest.")
    certificate: str = key(
        "The certificate in a cluster: an ARN on AWS, a name of the gateway's on Azure, elsewhere a secret of the "
        "namespace. On Google Cloud its name; there the ingress has one made for ingress.host, unless "
        "terraform.certificate names one.",
        check=matching(r"[\w.:/-]*", "an ARN, or a name"),
        pending=Pending("tf.apply", "certificate.invalid"),
    )


@dataclass(frozen=True, kw_only=True)
class Dns:
    """Records for the host name."""

    zone: str = key(
        "Zone of the cloud's DNS that Terraform writes records to; empty: apply prints them.", default="", check=HOST
    )


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many labs share the load; a person stays on one."""

    min: int = key("The fewest.", check=between(1, 100))
    max: int = key("The most.", check=between(1, 100))

    @property
    def are_autoscaled(self) -> bool:
        """Whether the number of labs follows the load."""
        return self.max > self.min


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What the stack runs on."""

    provider: Literal["local", "aws", "azure", "gcp", "none"] = key(
        "Whose machines: local is this one; aws, azure and gcp are made by Terraform; none is a cluster of your own.",
        tasks="what a stack is rendered for",
    )
    platform: Literal["kubernetes", "simple"] = key(
        "kubernetes, or the provider's simple way: ECS Fargate, Container Instances, Cloud Run."
    )
    replicas: Replicas = section("How many labs share the load.")
    idle_timeout: Duration = key(
        "How long a kernel may do nothing before it is ended, with all that it has in memory; 0s: for ever."
    )

    @property
    def uses_compose(self) -> bool:
        """Whether Docker Compose runs the stack."""
        return self.provider == "local"

    @property
    def uses_terraform(self) -> bool:
        """Whether Terraform creates what the stack runs on."""
        return self.provider not in ("local", "none")

    @property
    def uses_kubernetes(self) -> bool:
        """Whether the stack has manifests for a cluster."""
        return self.platform == "kubernetes"


@dataclass(frozen=True, kw_only=True)
class State:
    """Where Terraform keeps what it knows of a stack: a store for an account and region, a file for each stack."""

    store: str = key(
        "Bucket (AWS, Google) or storage account (Azure); empty: named after project, account and region.",
        default="",
        check=matching(r"([a-z0-9][a-z0-9-]{1,61}[a-z0-9])?", "3 to 63 lower-case letters, digits and hyphens"),
    )
    group: str = key(
        "Azure's resource group that the storage account is in; empty: named after the project.",
        default="",
        check=matching(r"[\w().-]{0,90}", "the name of a resource group"),
    )


_WHOSE = "whether a changed configuration means another stack, which is refused while this one is deployed"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The stack in its cloud, as its state records it; the tasks that read the state write it down on this machine."""

    name: str = key(
        "Name of the stack's resources. Empty: made of `project`, environment, cloud, account and region; what a stack "
        "was deployed with stays.",
        default="",
        check=matching(r"([a-z][a-z0-9-]{1,23})?", "2 to 24 lower-case letters, digits and hyphens"),
    )
    unique: str = key(
        "Name of what is named across a whole cloud, such as buckets; made and kept as `terraform.deployed.name` is.",
        default="",
        check=matching(r"([a-z][a-z0-9]{2,23})?", "3 to 24 lower-case letters and digits"),
    )
    state: str = key(
        "Where the stack's state is in its store. Empty: at project, account, region, cloud and environment; what "
        "version 0.1 deployed stays at the stack's name.",
        default="",
        check=matching(r"[a-z0-9/-]*", "a path of lower-case letters, digits and hyphens"),
    )
    store: str = key("The bucket or storage account that its state is in.", default="", tasks=_WHOSE)
    group: str = key("The resource group of that storage account, on Azure.", default="", tasks=_WHOSE)
    project: str = key(
        "The `project.name` that it was deployed with; empty where nothing says whose it is.", default="", tasks=_WHOSE
    )
    project_id: str = key("The `project.id` that it was deployed with.", default="", tasks=_WHOSE)
    account: str = key("The `terraform.account` that it was deployed with.", default="", tasks=_WHOSE)
    region: str = key("The `terraform.region` that it was deployed with.", default="", tasks=_WHOSE)


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """Where Terraform builds, and what it is."""

    program: Literal["auto", "terraform", "tofu"] = key(
        "Terraform or OpenTofu; auto: whichever is found, Terraform first.", tasks="what the tf tasks run"
    )
    state: State = section("Where Terraform keeps what it knows of a stack.")
    certificate: str = key(
        "A certificate that is there already: an ARN of ACM, a secret's id of Key Vault, a Google certificate's name; "
        "empty: one is made, by the cloud where it makes them for nothing, else self-signed.",
        default="",
        check=matching(r"[\w:/.-]*", "an ARN, the https address of a secret, or a name"),
    )
    secret_versions: Mapping[str, int] = key(
        "Version of each secret in the cloud's manager, by its variable; `inv tf.plan` raises one whose value is new."
    )
    region: str = key(
        "Region (on Azure: location) that everything is in.",
        default="",
        check=matching(r"([a-z][a-z0-9-]{2,40})?", "a region, such as eu-central-1"),
    )
    account: str = key(
        "AWS account, Azure subscription or Google project that everything belongs to; nothing else is touched.",
        default="",
        check=matching(r"[a-z0-9-]{0,36}", "an account number, a subscription's id or a project's id"),
    )
    deployed: Deployed = section("The stack in its cloud, as its state records it.")

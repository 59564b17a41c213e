"""What a stack asks of the cloud that it runs on, with the answers of one that has nothing of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devai_tasks.config import naming
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Rule
from devai_tasks.config.schema import Settings
from devai_tasks.system.programs import Program

Object = dict[str, Any]
"""An object of Kubernetes, or a patch of one."""


@dataclass(frozen=True)
class Routing:
    """What an ingress controller wants to know beside host and path.

    Attributes:
        annotations: of the ingress.
        spec: more of its spec, such as the class.
        objects: what stands beside the ingress.
    """

    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    objects: Sequence[Object] = ()


@dataclass(frozen=True)
class ClusterWide:
    """An object outside of the namespace that the cloud's component has: the stack renames it, or takes it out.

    Attributes:
        version: of its API.
        kind: of the object.
        name: in the component.
        own_name: in the cluster, where stacks have one each; empty where this stack has no use for it.
    """

    version: str
    kind: str
    name: str
    own_name: str


class Cloud(ABC):
    """Where a stack runs."""

    name: ClassVar[str]
    """As in `compute.provider`."""
    load_balancer_domains: ClassVar[tuple[str, ...]] = ()
    """In which the cloud names its load balancers, and nobody else an address."""
    identity_annotation: ClassVar[str] = ""
    """By which the lab's service account names its identity; empty where the cluster knows it."""
    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of objects that the cloud's controllers add to Kubernetes', as `kubectl get` names them."""
    shares_secret_store: ClassVar[bool] = True
    """Whether stacks have their secrets in one store, where each secret's name has that of its stack."""
    every_program: ClassVar[tuple[Program, ...]] = ()
    """Programs that a stack's tasks may call for its cloud: its command line first."""

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """Return what has to hold between the settings of a stack, beside the rules of all stacks."""

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the keys whose values only a deployment tells, by what is known of others."""
        return frozenset()

    def component(self, settings: Settings) -> str:
        """Return the component of the manifests, in deploy/kubernetes/components."""
        return "cluster" if settings.pulls_image else "local"

    def has_ingress(self, settings: Settings) -> bool:
        """Whether the stack has an ingress: without a controller of the cloud, the configuration has to name one."""
        return bool(settings.ingress.class_name)

    def routing(self, settings: Settings) -> Routing:
        """Return what the ingress controller wants to know."""
        spec: dict[str, Any] = {"ingressClassName": settings.ingress.class_name}
        if settings.tls.enabled:
            spec["tls"] = [{"hosts": [settings.ingress.host], "secretName": settings.tls.certificate}]
        return Routing({}, spec)

    def self_signed(self, settings: Settings) -> bool:
        """Whether the lab has a certificate of Terraform's, which no authority has signed."""
        return False

    def provides_home(self, settings: Settings) -> bool:
        """Whether the home is a file system that Terraform makes, and not a volume of the cluster's."""
        return False

    def home_volume(self, settings: Settings) -> Object:
        """Return that file system, as the cloud's CSI driver knows it; empty where the cloud provides none."""
        return {}

    def home_is_on_one_node(self, settings: Settings) -> bool:
        """Whether the home is on a disk that one node of several has at a time."""
        return False

    def home_access_modes(self, settings: Settings) -> list[str]:
        """Return the access modes of the home's volume."""
        return [settings.storage.access]

    def models_class(self, settings: Settings) -> str | None:
        """Return the storage class of the models; None for the cluster's default."""
        return settings.storage.models_class or None

    def cluster_wide(self, settings: Settings) -> tuple[ClusterWide, ...]:
        """Return the component's objects outside of the namespace."""
        return ()

    def secret_name(self, settings: Settings, key: str) -> str:
        """Return the name of a secret in the store that the External Secrets Operator reads."""
        return f"{naming.name(settings)}-{key}"

    def programs(self, settings: Settings) -> tuple[Program, ...]:
        """Return the programs of `every_program` that the stack needs."""
        return self.every_program

    def check_upload(self, settings: Settings, file: Path, size: int) -> None:
        """Raise UsageError for a file that a lab does not take in one request; its size is in bytes."""

    def unreachable_hint(self, settings: Settings) -> str:
        """Return what else may be the reason where a lab does not answer, to follow another hint."""
        return ""

"""Interface of a cloud for the stacks that run on it, with defaults for a cloud without services of its own."""

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
"""A Kubernetes object, or a patch of one."""


@dataclass(frozen=True)
class Routing:
    """Settings of an ingress controller in addition to host and path.

    Attributes:
        annotations: Annotations of the ingress.
        spec: Additional fields of the ingress's spec, such as the class.
        objects: Additional objects that the controller needs.
    """

    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    objects: Sequence[Object] = ()


@dataclass(frozen=True)
class ClusterWide:
    """A cluster-scoped object of the cloud's component, which rendering renames or removes for each stack.

    Attributes:
        version: API version of the object.
        kind: Kind of the object.
        name: Name of the object in the component.
        own_name: Name of the stack's own object in the cluster; empty if this stack does not need the object.
    """

    version: str
    kind: str
    name: str
    own_name: str


class Cloud(ABC):
    """Where a stack runs."""

    name: ClassVar[str]
    """Name of the cloud in `compute.provider`."""
    load_balancer_domains: ClassVar[tuple[str, ...]] = ()
    """Domains of the cloud's load balancers; no other party can create names in these domains."""
    identity_annotation: ClassVar[str] = ""
    """Annotation of the lab's service account that names the cloud identity; empty if the cluster needs none."""
    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of objects that the cloud's controllers add to Kubernetes, as `kubectl get` names them."""
    shares_secret_store: ClassVar[bool] = True
    """Whether stacks share one secret store, in which each secret's name contains the name of its stack."""
    every_program: ClassVar[tuple[Program, ...]] = ()
    """Programs that tasks may call for the cloud, its CLI first."""

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """Return the cloud's validation rules, in addition to those of all stacks."""

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the keys whose values are only known after a deployment.

        Args:
            known: Returns the configured value of another key, by section and name.
        """
        return frozenset()

    def component(self, settings: Settings) -> str:
        """Return the stack's component in deploy/kubernetes/components."""
        return "cluster" if settings.pulls_image else "local"

    def has_ingress(self, settings: Settings) -> bool:
        """Whether the stack has an ingress: without the cloud's own controller, only if `ingress.class_name` is set."""
        return bool(settings.ingress.class_name)

    def routing(self, settings: Settings) -> Routing:
        """Return the settings of the ingress controller."""
        spec: dict[str, Any] = {"ingressClassName": settings.ingress.class_name}
        if settings.tls.enabled:
            spec["tls"] = [{"hosts": [settings.ingress.host], "secretName": settings.tls.certificate}]
        return Routing({}, spec)

    def has_self_signed_certificate(self, settings: Settings) -> bool:
        """Whether the lab uses a self-signed certificate created by Terraform."""
        return False

    def provides_home(self, settings: Settings) -> bool:
        """Whether the home is a file system created by Terraform instead of a volume of a storage class."""
        return False

    def home_volume(self, settings: Settings) -> Object:
        """Return the CSI fields of the home's file system; empty if the cloud provides no file system."""
        return {}

    def home_is_on_one_node(self, settings: Settings) -> bool:
        """Whether the home is on a disk that only one of several nodes can mount at a time."""
        return False

    def home_access_modes(self, settings: Settings) -> list[str]:
        """Return the access modes of the home's volume."""
        return [settings.storage.access]

    def models_class(self, settings: Settings) -> str | None:
        """Return the storage class of the models volume; None for the cluster's default class."""
        return settings.storage.models_class or None

    def cluster_wide(self, settings: Settings) -> tuple[ClusterWide, ...]:
        """Return the cluster-scoped objects of the component."""
        return ()

    def secret_name(self, settings: Settings, key: str) -> str:
        """Return the name of a secret in the store that the External Secrets Operator reads."""
        return f"{naming.name(settings)}-{key}"

    def programs(self, settings: Settings) -> tuple[Program, ...]:
        """Return the programs of `every_program` that the stack needs."""
        return self.every_program

    def check_upload(self, settings: Settings, file: Path, size: int) -> None:
        """Raise UsageError if a file of `size` bytes is too large for one request to the lab."""

    def unreachable_hint(self, settings: Settings) -> str:
        """Return a possible reason why a lab does not respond, as a suffix of another hint; empty for none."""
        return ""

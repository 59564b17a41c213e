"""The section about what the lab is called, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

from devai_tasks.config.fields import key, matching
from devai_tasks.config.targets import (
    BACKEND,
    BAKE,
    COMPOSE_ENV,
    COMPOSE_STACK,
    K8S_ENVIRONMENT,
    K8S_INGRESS,
    K8S_KUSTOMIZATION,
    K8S_SECRETS,
    K8S_STORAGE,
    TERRAFORM,
    named_secrets,
    named_volumes,
    own_ingress_class,
    to,
)


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the lab is called."""

    # Docker's rule for project names and, with hyphens, Kubernetes' for object names (RFC 1123 label).
    name: str = key(
        "Names the Compose project, the images and all that a stack owns: lower-case letters, digits and hyphens.",
        check=matching(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", "up to 30 lower-case letters, digits and hyphens"),
        reach=to(COMPOSE_ENV, COMPOSE_STACK, BAKE, BACKEND, K8S_KUSTOMIZATION, K8S_ENVIRONMENT, *TERRAFORM)
        + to(K8S_STORAGE, when=named_volumes)
        + to(K8S_INGRESS, when=own_ingress_class)
        + to(K8S_SECRETS, when=named_secrets),
    )
    id: str = key(
        "Random identity of the project in clusters and clouds: clones with the same `project.id` share the stacks "
        "there, and another project is refused. `devai new` or the first deployment writes it; commit it.",
        default="",
        # The value of a label in Kubernetes and on Google Cloud, of a tag on AWS and Azure; and a text in YAML.
        check=matching(r"([a-z][a-z0-9]{11,15})?", "12 to 16 lower-case letters and digits, the first a letter"),
        layers=("common",),
        reach=to(K8S_KUSTOMIZATION, *TERRAFORM) + to(K8S_SECRETS, when=named_secrets),
        tasks="which stacks of a cluster or cloud belong to the project",
    )

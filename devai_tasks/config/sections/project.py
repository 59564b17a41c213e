"""Configuration section for the name and the identity of the project."""

from __future__ import annotations

from dataclasses import dataclass

from devai_tasks.config.fields import key, matching


@dataclass(frozen=True, kw_only=True)
class Project:
    """Name and identity of the project."""

    # Docker's rule for project names and, with hyphens, Kubernetes' for object names (RFC 1123 label).
    name: str = key(
        "Name of the project, used in the names of the Compose project, the images and all resources of a stack: "
        "lower-case letters, digits and hyphens.",
        check=matching(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", "up to 30 lower-case letters, digits and hyphens"),
    )
    id: str = key(
        "Random ID of the project in clusters and clouds: clones with the same `project.id` share the deployed "
        "stacks, and other projects are refused. `devai new` or the first deployment writes the ID; commit it.",
        default="",
        # Valid as a label value in Kubernetes and Google Cloud, as a tag value on AWS and Azure, and as a YAML string.
        check=matching(r"([a-z][a-z0-9]{11,15})?", "12 to 16 lower-case letters and digits, the first a letter"),
        layers=("common",),
        tasks="which stacks of a cluster or cloud belong to the project",
    )

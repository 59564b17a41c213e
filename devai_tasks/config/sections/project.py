"""The section about what the lab is called, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

from devai_tasks.config.fields import key, matching


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the lab is called."""

    # Docker's rule for project names and, with hyphens, Kubernetes' for object names (RFC 1123 label).
    name: str = key(
        "Names the Compose project, the images and all that a stack owns: lower-case letters, digits and hyphens.",
        check=matching(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", "up to 30 lower-case letters, digits and hyphens"),
    )
    id: str = key(
        "Random identity of the project in clusters and clouds: clones with the same `project.id` share the stacks "
        "there, and another project is refused. `devai new` or the first deployment writes it; commit it.",
        default="",
        # The value of a label in Kubernetes and on Google Cloud, of a tag on AWS and Azure; and a text in YAML.
        check=matching(r"([a-z][a-z0-9]{11,15})?", "12 to 16 lower-case letters and digits, the first a letter"),
        layers=("common",),
        tasks="which stacks of a cluster or cloud belong to the project",
    )

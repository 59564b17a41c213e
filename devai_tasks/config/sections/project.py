"""Configuration section for the name and the identity of the project."""

from __future__ import annotations

from dataclasses import dataclass

from devai_tasks.config.fields import Check, key, matching

# Format of the configuration that this version of the package reads and writes. Version 0.1 wrote none, which is 1.
FORMAT = 2


def _unknown_format(value: int) -> str | None:
    if value > FORMAT:
        return f"at most {FORMAT}: a newer version of devai-tasks wrote the project; upgrade the package"
    return None if value > 0 else f"1 to {FORMAT}"


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
    format: int = key(
        "Format of the project: 1 for projects of version 0.1, 2 since version 0.2. `inv config.migrate` brings an "
        "older project to the current format.",
        default=1,
        check=Check(_unknown_format, {"minimum": 1, "maximum": FORMAT}),
        layers=("common",),
        tasks="whether `config.check` suggests a migration",
    )

"""The overlays in deploy/kubernetes that a stack can choose from."""

from __future__ import annotations

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system.errors import unknown


def unknown_overlay(project: Project, settings: Settings) -> str:
    """Return the error message for a configured overlay that does not exist; empty if it exists."""
    folder, name = project.root / "deploy/kubernetes/overlays", settings.kubernetes.overlay
    if "kubernetes" not in settings.targets or (folder / name / "kustomization.yaml").is_file():
        return ""
    return unknown("overlay", name, (file.parent.name for file in folder.glob("*/kustomization.yaml")))

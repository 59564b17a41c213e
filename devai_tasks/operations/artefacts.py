"""All artefacts of a stack."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.render import Artefacts, compose, image, writer


def render(project: Project, settings: Settings) -> Artefacts:
    """Every file that a stack is made of."""
    override = (project.root / compose.OVERRIDE).exists()
    return {**compose.render(settings, override=override), **image.render(settings)}


def write(project: Project, settings: Settings) -> Path:
    """Render a stack; returns its folder."""
    return writer.write(render(project, settings), project.artefacts(settings.stack))

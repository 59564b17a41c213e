"""All artefacts of a stack."""

from __future__ import annotations

import difflib

from devai_tasks.config import targets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.render import Artefacts, compose, image, kubernetes, terraform, writer


def render(project: Project, settings: Settings) -> Artefacts:
    """Every file that a stack is made of."""
    override = (project.root / compose.OVERRIDE).exists()
    renderers = {
        "image": image.render,
        "compose": lambda settings: compose.render(settings, override=override),
        "terraform": terraform.render,
        "kubernetes": kubernetes.render,
    }
    files: Artefacts = {}
    for target in targets.of_stack(settings):
        files |= renderers[target](settings)
    return files


def write(project: Project, settings: Settings) -> int:
    """Render a stack, and nothing else, to its folder; returns how many files changed, came or went."""
    files = render(project, settings)
    folder = project.artefacts(settings.stack)
    changed = writer.changes(files, folder)
    writer.write(files, folder, whole=True)
    return len(changed)


def out_of_date(project: Project, settings: Settings) -> list[str]:
    """Files of the stack that rendering would change, make or remove."""
    folder = project.artefacts(settings.stack)
    return [_name(project, settings, path) for path in writer.changes(render(project, settings), folder)]


def diff(project: Project, settings: Settings) -> str:
    """The same as a unified diff."""
    changes = writer.changes(render(project, settings), project.artefacts(settings.stack))
    lines: list[str] = []
    for path, (old, new) in changes.items():
        name = _name(project, settings, path)
        before, after = (name if text is not None else "/dev/null" for text in (old, new))
        lines += difflib.unified_diff(
            (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True), before, after
        )
    return "".join(lines)


def _name(project: Project, settings: Settings, path: str) -> str:
    return (project.artefacts(settings.stack) / path).relative_to(project.root).as_posix()

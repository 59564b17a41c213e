"""Artifacts of a stack: all generated files of all targets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.base import Artifact, texts
from devai_tasks.targets.compose import rendering as compose
from devai_tasks.targets.image import rendering as image
from devai_tasks.targets.kubernetes import rendering as kubernetes
from devai_tasks.targets.terraform import rendering as terraform
from devai_tasks.workspace import runs, writer
from devai_tasks.workspace.writer import Artifacts


def render(project: Project, settings: Settings) -> Artifacts:
    """Return all artifacts of a stack."""
    return texts(every(override=(project.root / compose.OVERRIDE).exists()), settings)


def every(*, override: bool) -> Iterator[Artifact]:
    """Yield the artifacts that stacks may have; with `override`, the user's Compose override file is included."""
    yield from image.ARTIFACTS
    for artifact in compose.artifacts(override=override):
        yield artifact.where(lambda settings: settings.compute.uses_compose)
    for artifact in terraform.ARTIFACTS:
        yield artifact.where(lambda settings: settings.compute.uses_terraform)
    for artifact in kubernetes.ARTIFACTS:
        yield artifact.where(lambda settings: settings.compute.uses_kubernetes)


def write(project: Project, settings: Settings) -> int:
    """Render a stack to its folder, remove other files there, and return the number of changed files.

    Raises DevaiError while another run changes the stack.
    """
    files, folder = render(project, settings), project.artifacts(settings.stack)
    with writer.alone(folder):
        if other := runs.other_run(project, settings.stack):
            raise DevaiError(
                f"{settings.stack} is being changed by {other}, which reads its artifacts; no artifact was changed",
                hint="wait until that run ends, or stop it",
                code="DEVAI-STACK-001",
            )
        changed = writer.changes(files, folder)
        writer.put(files, folder, whole=True)
    return len(changed)


def out_of_date(project: Project, settings: Settings) -> list[str]:
    """Return the files of the stack that rendering would change, create or remove."""
    folder = project.artifacts(settings.stack)
    return [_name(project, settings, path) for path in writer.changes(render(project, settings), folder)]


def diffs(project: Project, settings: Settings) -> dict[str, str]:
    """Return the files that rendering would change, each with its unified diff."""
    changes = writer.changes(render(project, settings), project.artifacts(settings.stack))
    result = {}
    for path, (old, new) in changes.items():
        name = _name(project, settings, path)
        before, after = (name if text is not None else "/dev/null" for text in (old, new))
        old_lines, new_lines = ((text or "").splitlines(keepends=True) for text in (old, new))
        result[name] = "".join(difflib.unified_diff(old_lines, new_lines, before, after))
    return result


def _name(project: Project, settings: Settings, path: str) -> str:
    return (project.artifacts(settings.stack) / path).relative_to(project.root).as_posix()

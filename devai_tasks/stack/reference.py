"""Generated references of the configuration and the tasks."""

from __future__ import annotations

from devai_tasks.config.project import Project
from devai_tasks.stack import affected, key_reference, task_reference
from devai_tasks.workspace import writer


def write(project: Project, tasks: str, *, dry: bool = False) -> list[str]:
    """Write outdated reference files, and return their names.

    Files are written to existing folders only: a project without `docs/` has only the schema for editors.

    Args:
        project: the project to write to.
        tasks: the reference of all tasks, as Markdown.
        dry: whether to leave outdated files unchanged.
    """
    stale = []
    for name, text in {**key_reference.render(affected.anywhere()), task_reference.FILE: tasks}.items():
        file = project.root / name
        if file.parent.is_dir() and (not file.exists() or file.read_text(encoding="utf-8") != text):
            stale.append(name)
            if not dry:
                writer.replace_file(file, text)
    return stale

"""The files that describe the configuration and the tasks: made from what these say of themselves."""

from __future__ import annotations

from devai_tasks.config.project import Project
from devai_tasks.stack import affected, key_reference, task_reference
from devai_tasks.workspace import writer


def write(project: Project, tasks: str, *, dry: bool = False) -> list[str]:
    """Bring all up to date; returns those that were not. A project without `docs/` has the schema for editors only.

    `tasks` is the reference of all tasks.
    """
    stale = []
    for name, text in {**key_reference.render(affected.anywhere()), task_reference.FILE: tasks}.items():
        file = project.root / name
        if file.parent.is_dir() and (not file.exists() or file.read_text(encoding="utf-8") != text):
            stale.append(name)
            if not dry:
                writer.replace_file(file, text)
    return stale

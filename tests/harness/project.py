"""Projects for tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.workspace import scaffold


def fresh(root: Path) -> Project:
    """Create a project as `devai new` does; if the wheel is installed, from the wheel's data.

    The files in `deploy/` are hard links to those of other tests' projects, which takes a fifth of the time of copies.
    A test that changes such a file must call `separate` for it first.
    """
    template = _template()
    deploy = f"{template}/deploy/"

    def copy(source: str, target: str) -> None:
        if not source.startswith(deploy):
            shutil.copyfile(source, target)
            return
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy(source, target)

    shutil.copytree(template, root, symlinks=True, copy_function=copy, dirs_exist_ok=True)
    return Project(root)


def separate(file: Path) -> Path:
    """Replace a hard link by a copy that a test may change; return the file."""
    copy = file.with_name(f".{file.name}")
    shutil.copy(file, copy)
    return copy.replace(file)


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="devai-template-"))
    atexit.register(shutil.rmtree, folder)
    scaffold.write(folder / "lab")
    return folder / "lab"


def changed_files() -> list[str]:
    """Return the files that a test has changed for all tests."""
    original, template = scaffold.source(), _template()
    files = (file.relative_to(template) for file in template.rglob("*") if file.is_file() and not file.is_symlink())
    return [str(file) for file in files if (template / file).read_bytes() != (original / file).read_bytes()]


def declare(project: Project, *variables: str) -> None:
    """Declare environment variables that the project's values may use."""
    text = f"variables: [{', '.join(variables)}]\n"
    (project.conf / "common/variables.yaml").write_text(text, encoding="utf-8")

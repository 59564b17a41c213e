"""Migration of a project that an older version of this package created, for `config.migrate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config import document, edit, variables
from devai_tasks.config.configuration import scalars
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.load import Sources
from devai_tasks.config.project import Project
from devai_tasks.config.sections.project import FORMAT
from devai_tasks.stack import loading
from devai_tasks.stack.configuration_edits import FileEdit
from devai_tasks.system import files
from devai_tasks.system.errors import ConfigError, Problem
from devai_tasks.targets.image.pins import FORMER_PINS, PINS
from devai_tasks.workspace import ownership, scaffold

_VARIABLES = "conf/common/variables.yaml"
# Folder for the previous content of replaced files, by the format that they belong to.
_REPLACED = ".devai/format-{}"


@dataclass(frozen=True)
class Migration:
    """Changes that bring a project to the current format.

    Attributes:
        project: the project.
        previous: current format of the project.
        package_files: files of the package in the project that this version has changed, added or replaced.
        edits: edits of files in conf/.
        removed: files without effect in the new format.
        problems: errors in the migrated configuration, which the user must correct.
    """

    project: Project
    previous: int
    package_files: tuple[str, ...] = ()
    edits: tuple[FileEdit, ...] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def kept(self) -> str:
        """Folder that receives the previous content of replaced and removed files."""
        return _REPLACED.format(self.previous)

    def write(self) -> None:
        """Change the project. The new format is written last, so that an interrupted migration can be repeated."""
        for name in (*self.package_files, *self.removed):
            self._keep(name)
        scaffold.update(self.project, self.package_files)
        for name in self.removed:
            (self.project.root / name).unlink()
        for planned in self.edits:
            planned.write()

    def _keep(self, name: str) -> None:
        """Copy a file that is about to be replaced, unless an interrupted migration has copied it before."""
        file, kept = self.project.root / name, self.project.root / self.kept / name
        if file.is_file() and not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            files.replace(kept, file.read_bytes())


def plan(project: Project) -> Migration:
    """Return what `config.migrate` changes in a project.

    A clone of the package's repository may have the current format from Git, and still the former file of its own
    digests; only that file is migrated then.

    Raises:
        ConfigError: a file in conf/ is not valid YAML.
    """
    texts = {name: document.read(project.root / name, name).tree for name in _configuration_files(project)}
    section = texts.get(ownership.FILE, {}).get("project")
    previous = int(str(section.get("format", 1))) if isinstance(section, dict) else 1
    moved = [*_move_pins(project)]
    removed = (FORMER_PINS,) if moved else ()
    if previous == FORMAT:
        return Migration(project, previous, edits=tuple(moved), removed=removed)
    edits = [
        *_declare_variables(project, texts),
        *moved,
        _edit(project, ownership.FILE, ("project", "format"), str(FORMAT)),
    ]
    # In a clone of the package's repository, Git updates the package's files.
    updated = [] if (project.root / "devai_tasks").is_dir() else scaffold.outdated(project)
    return Migration(project, previous, tuple(updated), tuple(edits), removed, tuple(_problems(project, edits)))


def _configuration_files(project: Project) -> list[str]:
    folders = (project.conf / name for name in ("common", "clouds", "profiles", "stacks"))
    files = sorted(file for folder in folders for file in folder.glob("*.yaml"))
    return [file.relative_to(project.root).as_posix() for file in files]


def _declare_variables(project: Project, texts: dict[str, dict[str, Tree]]) -> Iterator[FileEdit]:
    """Declare the environment variables that values refer to. Version 0.1 did not require a declaration."""
    current = texts.get(_VARIABLES, {}).get("variables")
    declared = [str(name) for name in current] if isinstance(current, list) else []
    known = {*variables.SHIPPED, *declared}
    used = {
        name: None
        for tree in texts.values()
        for _, text in scalars(tree, ())
        for name in variables.names(text)
        if variables.is_undeclared(name, known)
    }
    if used:
        yield _edit(project, _VARIABLES, ("variables",), [*declared, *used])


def _move_pins(project: Project) -> Iterator[FileEdit]:
    """Move the digests of base images to the configuration, where they are since format 2."""
    file, pins = project.root / FORMER_PINS, project.root / PINS
    if not file.exists():
        return
    try:
        locked = dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        problem = Problem(FORMER_PINS, "not valid JSON", "a map from image names to digests; delete the file")
        raise ConfigError([problem]) from error
    current = document.read(pins, PINS).tree.get("pins") if pins.exists() else None
    kept = [str(pin) for pin in current or ()]
    named = {pin.partition("@")[0] for pin in kept}
    moved = [f"{name}@{digest}" for name, digest in locked.items() if name not in named]
    yield _edit(project, PINS, ("pins",), [*sorted([*kept, *moved])])


def _edit(project: Project, name: str, key: Key, value: Tree) -> FileEdit:
    file: Path = project.root / name
    before = document.read_text(file, name) if file.exists() else ""
    return FileEdit(project, name, before, edit.edited(before, [(key, value)]))


def _problems(project: Project, edits: list[FileEdit]) -> list[Problem]:
    """Return the errors of all stacks after the migration, each once."""
    sources = Sources(project, replaced={planned.name: planned.after for planned in edits}, deployment=loading)
    problems: dict[Problem, None] = {}
    for stack in project.stacks:
        try:
            sources.configuration(stack)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    return [*problems]

"""Edits of the files in conf/, for `config.set` and `config.init`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

from devai_tasks.config import document, edit, layers, reader
from devai_tasks.config.configuration import Configuration, dotted, scalars
from devai_tasks.config.document import Document, Key, Tree
from devai_tasks.config.load import Sources
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import STACK_NAME, STACK_NAME_RULE, Stack
from devai_tasks.stack import loading
from devai_tasks.system import console
from devai_tasks.system.errors import ConfigError, Problem, UsageError
from devai_tasks.workspace import writer

Ask = Callable[[str, str], str | None]
"""Ask a question with a suggested answer; None without a terminal."""


@dataclass(frozen=True)
class FileEdit:
    """An edit of a file in conf/."""

    project: Project
    name: str
    before: str
    after: str
    notes: tuple[str, ...] = ()
    """What the edit does not achieve: stronger layers that override it, and what a new environment still needs."""

    @property
    def diff(self) -> str:
        """Return the edit as a unified diff; empty where nothing changes."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, self.name, self.name))

    def write(self) -> None:
        """Replace the file."""
        writer.replace_file(self.project.root / self.name, self.after)


def plan(project: Project, overrides: Sequence[str], *, env: str, cloud: str, personal: bool) -> FileEdit:
    """Plan to set keys in the file that the flags select; see `_file`.

    Raises:
        UsageError: the flags select no file.
        ConfigError: a stack that is valid now would become invalid.
    """
    assignments = _assignments(overrides)
    name = _file(project, assignments, env=env, cloud=cloud, personal=personal)
    file = project.root / name
    before = document.read_text(file, name) if file.exists() else ""
    # Other errors in the file are reported here; an empty file is not an error.
    old = document.parse(before, name) if document.has_content(before) else Document({})
    after = edit.edited(before, assignments)
    _check_others(old, document.parse(after, name), [key for key, _ in assignments])
    planned = FileEdit(project, name, before, after)
    return FileEdit(project, name, before, after, tuple(_overridden(planned, assignments)))


def _assignments(overrides: Sequence[str]) -> list[tuple[Key, Tree]]:
    if not overrides:
        raise UsageError("no key to set", hint="--set section.key=value, which can be repeated")
    layer = layers.flags(overrides, gpu=False, split=partial(reader.split, Settings))
    if layer.problems:
        raise ConfigError(layer.problems)
    return [*layers.leaves((), layer.tree)]


def _check_others(old: Document, new: Document, keys: Sequence[Key]) -> None:
    """Raise ConfigError where other keys would change, too: keys that share a value through a YAML alias."""
    before, after = (dict(scalars(each.tree, ())) for each in (old, new))
    layer = layers.Layer("", "", locations=old.locations)
    problems = [
        Problem(layer.location(key), dotted(key), "would change, too, because of a YAML alias; replace the alias first")
        for key in {**before, **after}
        if before.get(key) != after.get(key) and not any(key[: len(edited)] == edited for edited in keys)
    ]
    if problems:
        raise ConfigError(problems)


def _file(project: Project, assignments: Sequence[tuple[Key, Tree]], *, env: str, cloud: str, personal: bool) -> str:
    """Return the file that the flags select: a profile, a cloud, a stack for both, or conf/common for neither."""
    if personal:
        if env or cloud:
            raise UsageError("--personal applies to all stacks", hint="leave out --env and --cloud")
        return "conf/personal.yaml"
    if env and cloud:
        return f"conf/stacks/{project.stack(env, cloud)}.yaml"
    if env:
        return f"conf/profiles/{project.stack(env, project.clouds[0]).environment}.yaml"
    if cloud:
        return f"conf/clouds/{project.stack(project.environments[0], cloud).cloud}.yaml"
    sections = {str(key[0]) for key, _ in assignments}
    if len(sections) > 1:
        names = ", ".join(sorted(sections))
        raise UsageError(
            f"the keys belong to several files of conf/common ({names})", hint="set the keys of one file at a time"
        )
    return f"conf/common/{sections.pop()}.yaml"


def _overridden(planned: FileEdit, assignments: Sequence[tuple[Key, Tree]]) -> list[str]:
    """Load every stack with the edited file, and return where stronger layers override it.

    Raises ConfigError with the problems that the edit causes.
    """
    old, changed = (
        Sources(planned.project, deployment=loading),
        Sources(planned.project, replaced={planned.name: planned.after}, deployment=loading),
    )
    overridden, problems = list[str](), _new_problems(old, changed, [None])
    for stack in planned.project.stacks:
        try:
            overridden += _stronger(changed.configuration(stack), planned.name, assignments)
        except ConfigError:  # the stack may have been invalid before
            problems |= _new_problems(old, changed, [stack])
    if problems:
        raise ConfigError(chain(*problems.values()))
    return list(dict.fromkeys(overridden))


def _new_problems(old: Sources, changed: Sources, stacks: Sequence[Stack | None]) -> dict[Stack | None, list[Problem]]:
    """Return the problems of each stack that are new; None stands for the selection of the default stack."""
    result = {}
    for stack in stacks:
        problems = _problems(changed, stack)
        before = _problems(old, stack) if problems else ()
        if new := [problem for problem in problems if problem not in before]:
            result[stack] = new
    return result


def _problems(sources: Sources, stack: Stack | None) -> Sequence[Problem]:
    try:
        if stack:
            sources.configuration(stack)
        else:
            sources.stack()
    except ConfigError as error:
        return error.problems
    return ()


def _stronger(configuration: Configuration, name: str, assignments: Sequence[tuple[Key, Tree]]) -> list[str]:
    result = []
    for key, _ in assignments:
        origins = configuration.origins(key)
        if any(origin.layer == name for origin in origins) and origins[0].layer != name:
            result.append(f"{configuration.settings.stack} still has {dotted(key)} from {origins[0].place}")
    return result


# The most commonly changed keys, each with its question.
_PERSONAL = {
    "defaults.env": "default environment, for tasks without --env",
    "defaults.cloud": "default cloud, for tasks without --cloud",
    "ports.lab": "port of the lab on this machine",
    "storage.work_dir": "folder that the lab mounts as ~/work",
    "gpu.enabled": "NVIDIA GPU for all your stacks, also in clouds (true or false)",
}
_PROFILE = {
    "protected": "protected: destructive tasks ask for the stack's name (true or false)",
    "resources.lab.cpu": "cores for the lab",
    "resources.lab.memory": "memory for the lab",
    "ingress.host": "host name of the lab in a cloud",
    "network.allowed_cidrs": "networks that may connect in a cloud, such as [192.0.2.0/24]",
}


def interview(project: Project, profile: str, ask: Ask) -> FileEdit:
    """Ask for the values of a new layer, and return the file with the answers that differ from the suggestions.

    Raises UsageError if the file exists, the name is invalid, or there is no terminal to ask.
    """
    name = f"conf/profiles/{profile}.yaml" if profile else "conf/personal.yaml"
    if (project.root / name).exists():
        flags = f"--env={profile}" if profile else "--personal"
        raise UsageError(f"{name} exists", hint=f"`inv config.set {flags} --set section.key=value` changes it")
    if profile and not re.fullmatch(STACK_NAME, profile):
        raise UsageError(f"--profile={profile}: {STACK_NAME_RULE}")
    text = f"# The environment {profile}.\nprotected: false\n" if profile else "# Personal configuration; not in git.\n"

    # Suggestions for a profile come from its own layers, not from the layers of the default stack.
    sources = Sources(project, replaced={name: text} if profile else {}, deployment=loading)
    suggestions = sources.configuration(Stack(profile, "local") if profile else sources.stack())
    affected = [Stack(profile, cloud) for cloud in project.clouds] if profile else [None, *project.stacks]

    def problems_by_stack(attempt: str) -> dict[Stack | None, list[Problem]]:
        return _new_problems(sources, Sources(project, replaced={name: attempt}, deployment=loading), affected)

    def problems(attempt: str) -> Sequence[Problem]:
        new = dict.fromkeys(chain(*problems_by_stack(attempt).values()))
        # What a new environment needs elsewhere, such as a certificate, is not an invalid answer.
        return [problem for problem in new if not profile or problem.location.startswith(f"{name}:")]

    for key, question in (_PROFILE if profile else _PERSONAL).items():
        path = tuple(key.split("."))
        suggestion = suggestions.explain(path).value
        text = _answered(text, path, suggestion, partial(ask, question, suggestion), problems)
    if not document.has_content(text):
        return FileEdit(project, name, "", "")
    notes = [
        f"{stack} is not valid yet\n{problem}" for stack, new in problems_by_stack(text).items() for problem in new
    ]
    if not profile:
        notes += _ignored(Sources(project, replaced={name: text}, deployment=loading), name)
    return FileEdit(project, name, "", text, tuple(notes))


def _ignored(sources: Sources, name: str) -> list[str]:
    """Return what the personal file does not do for the default stack."""
    with suppress(ConfigError):  # the stack was invalid before
        stack = sources.stack()
        if sources.configuration(stack).settings.protected:
            return [f"{stack} is protected: it ignores all of {name} except defaults"]
    return []


def _answered(
    text: str,
    key: Key,
    suggestion: str,
    ask: Callable[[], str | None],
    problems: Callable[[str], Sequence[Problem]],
) -> str:
    """Return the file's text after one question, which is repeated until the answer is valid."""
    while True:
        answer = ask()
        if answer is None:
            raise UsageError("no terminal to ask", hint="`--yes` accepts all suggested answers")
        if answer in ("", suggestion):
            return text
        try:
            attempt = edit.edited(text, [(key, document.parse_value(answer))])
            invalid = problems(attempt)
        except ConfigError as error:
            invalid = error.problems
        if not invalid:
            return attempt
        console.warn("\n".join(problem.allowed for problem in invalid))

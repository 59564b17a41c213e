"""Changes to the files of conf/: `config.set` and `config.init`."""

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
from devai_tasks.config.stack import STACK_NAME, STACK_NAME_WORDS, Stack
from devai_tasks.stack import loading
from devai_tasks.system import console
from devai_tasks.system.errors import ConfigError, Problem, UsageError
from devai_tasks.workspace import writer

Ask = Callable[[str, str], str | None]
"""Takes a question and the answer that is offered; None where nobody can answer."""


@dataclass(frozen=True)
class Change:
    """A file of conf/ before and after."""

    project: Project
    name: str
    before: str
    after: str
    notes: tuple[str, ...] = ()
    """What it doesn't do: where stronger layers go on deciding, and what a new environment still lacks."""

    @property
    def diff(self) -> str:
        """As a unified diff; empty where nothing changes."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, self.name, self.name))

    def write(self) -> None:
        """Replace the file."""
        writer.replace_file(self.project.root / self.name, self.after)


def plan(project: Project, overrides: Sequence[str], *, env: str, cloud: str, personal: bool) -> Change:
    """Set keys in the file that the flags name; see `_file`.

    Raises UsageError where they name none, ConfigError where a stack would be invalid that is not now.
    """
    assignments = _assignments(overrides)
    name = _file(project, assignments, env=env, cloud=cloud, personal=personal)
    file = project.root / name
    before = document.read_text(file, name) if file.exists() else ""
    # Mistakes there are for its owner to fix; to be empty is none here.
    old = document.parse(before, name) if document.has_content(before) else Document({})
    after = edit.edited(before, assignments)
    _check_others(old, document.parse(after, name), [key for key, _ in assignments])
    change = Change(project, name, before, after)
    return Change(project, name, before, after, tuple(_try(change, assignments)))


def _assignments(overrides: Sequence[str]) -> list[tuple[Key, Tree]]:
    if not overrides:
        raise UsageError("no key to set", hint="--set section.key=value, which can be repeated")
    layer = layers.flags(overrides, gpu=False, split=partial(reader.split, Settings))
    if layer.problems:
        raise ConfigError(layer.problems)
    return [*layers.leaves((), layer.tree)]


def _check_others(old: Document, new: Document, keys: Sequence[Key]) -> None:
    """Raises ConfigError where other keys would change, too: those that share their values by an alias."""
    was, now = (dict(scalars(read.tree, ())) for read in (old, new))
    before = layers.Layer("", "", places=old.places)
    problems = [
        Problem(before.place(key), dotted(key), "would change, too, because of an alias; write it out first")
        for key in {**was, **now}
        if was.get(key) != now.get(key) and not any(key[: len(own)] == own for own in keys)
    ]
    if problems:
        raise ConfigError(problems)


def _file(project: Project, assignments: Sequence[tuple[Key, Tree]], *, env: str, cloud: str, personal: bool) -> str:
    """The file for what flags name: a profile, a cloud, the stack of both, or conf/common for neither."""
    if personal:
        if env or cloud:
            raise UsageError("--personal is for all your stacks", hint="it goes without --env and --cloud")
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
        raise UsageError(f"these belong into several files of conf/common ({names})", hint="set one")
    return f"conf/common/{sections.pop()}.yaml"


def _try(change: Change, assignments: Sequence[tuple[Key, Tree]]) -> list[str]:
    """Load every stack with the changed file; returns where stronger layers win over it.

    Raises ConfigError with the problems that the change brings.
    """
    old, changed = (
        Sources(change.project, deployment=loading),
        Sources(change.project, replaced={change.name: change.after}, deployment=loading),
    )
    overridden, brought = list[str](), _brought(old, changed, [None])
    for stack in change.project.stacks:
        try:
            overridden += _stronger(changed.configuration(stack), change.name, assignments)
        except ConfigError:  # which it may have been before
            brought |= _brought(old, changed, [stack])
    if brought:
        raise ConfigError(chain(*brought.values()))
    return list(dict.fromkeys(overridden))


def _brought(old: Sources, changed: Sources, stacks: Sequence[Stack | None]) -> dict[Stack | None, list[Problem]]:
    """What is wrong with stacks that was not before; None stands for the choice of one where no flag makes it."""
    brought = {}
    for stack in stacks:
        problems = _problems(changed, stack)
        before = _problems(old, stack) if problems else ()
        if new := [problem for problem in problems if problem not in before]:
            brought[stack] = new
    return brought


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
    found = []
    for key, _ in assignments:
        origins = configuration.origins(key)
        if any(origin.layer == name for origin in origins) and origins[0].layer != name:
            found.append(f"{configuration.settings.stack} still has {dotted(key)} from {origins[0].place}")
    return found


# The few things that people want otherwise: the question, and the key that it decides.
_PERSONAL = {
    "defaults.env": "environment that tasks mean without --env",
    "defaults.cloud": "cloud that tasks mean without --cloud",
    "ports.lab": "port of the lab on this machine",
    "storage.work_dir": "folder that the lab shows as ~/work",
    "gpu.enabled": "an NVIDIA GPU for every stack of yours, also in clouds (true or false)",
}
_PROFILE = {
    "protected": "protected, so that dangerous tasks want its name typed (true or false)",
    "resources.lab.cpu": "cores for the lab",
    "resources.lab.memory": "memory for the lab",
    "ingress.host": "host name of the lab in a cloud",
    "network.allowed_cidrs": "networks that may connect in a cloud, as [192.0.2.0/24]",
}


def interview(project: Project, profile: str, ask: Ask) -> Change:
    """Ask what decides a layer of one's own; returns the file with the answers that differ from what is so anyway.

    Raises UsageError for a file that exists, for a name that can't be, or with nobody to ask.
    """
    name = f"conf/profiles/{profile}.yaml" if profile else "conf/personal.yaml"
    if (project.root / name).exists():
        flags = f"--env={profile}" if profile else "--personal"
        raise UsageError(f"{name} exists", hint=f"`inv config.set {flags} --set section.key=value` changes it")
    if profile and not re.fullmatch(STACK_NAME, profile):
        raise UsageError(f"--profile={profile}: {STACK_NAME_WORDS}")
    text = f"# The environment {profile}.\nprotected: false\n" if profile else "# Personal configuration; not in git.\n"

    # What a profile doesn't say it has from its own layers, not from those of the stack that is meant elsewhere.
    sources = Sources(project, replaced={name: text} if profile else {}, deployment=loading)
    offers = sources.configuration(Stack(profile, "local") if profile else sources.stack())
    own = [Stack(profile, cloud) for cloud in project.clouds] if profile else [None, *project.stacks]

    def brought(attempt: str) -> dict[Stack | None, list[Problem]]:
        return _brought(sources, Sources(project, replaced={name: attempt}, deployment=loading), own)

    def problems(attempt: str) -> Sequence[Problem]:
        found = dict.fromkeys(chain(*brought(attempt).values()))
        # What a new environment lacks elsewhere, such as a certificate, is no fault of an answer, and breaks nothing.
        return [problem for problem in found if not profile or problem.location.startswith(f"{name}:")]

    for key, question in (_PROFILE if profile else _PERSONAL).items():
        path = tuple(key.split("."))
        offered = offers.explain(path).value
        text = _answered(text, path, offered, partial(ask, question, offered), problems)
    if not document.has_content(text):
        return Change(project, name, "", "")
    notes = [f"{stack} is not valid yet\n{problem}" for stack, all_ in brought(text).items() for problem in all_]
    if not profile:
        notes += _unread(Sources(project, replaced={name: text}, deployment=loading), name)
    return Change(project, name, "", text, tuple(notes))


def _unread(sources: Sources, name: str) -> list[str]:
    """What one's own file does not do for the stack that is meant without flags."""
    with suppress(ConfigError):  # as it was before
        stack = sources.stack()
        if sources.configuration(stack).settings.protected:
            return [f"{stack} is protected: of {name} it reads which stack is meant, and nothing else"]
    return []


def _answered(
    text: str,
    key: Key,
    offered: str,
    ask: Callable[[], str | None],
    problems: Callable[[str], Sequence[Problem]],
) -> str:
    """The file's text after one question, which is asked until the answer is valid."""
    while True:
        answer = ask()
        if answer is None:
            raise UsageError("nobody to ask", hint="--yes takes every answer that is offered")
        if answer in ("", offered):
            return text
        try:
            attempt = edit.edited(text, [(key, document.parse_value(answer))])
            wrong = problems(attempt)
        except ConfigError as error:
            wrong = error.problems
        if not wrong:
            return attempt
        console.warn("\n".join(problem.allowed for problem in wrong))

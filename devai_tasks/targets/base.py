"""What all targets have in common: artifacts, and how a lab's container is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from devai_tasks.config.document import Key
from devai_tasks.config.observing import observed
from devai_tasks.config.schema import Settings
from devai_tasks.workspace.writer import Artifacts

LAB_PORT = 8888
"""Where the lab listens in its container, unless it is told otherwise."""
LAB_ENVIRONMENT = ("lab-env",)
"""The command that gives another one in a running lab the lab's environment: deploy/image/lab-env.sh."""


def always(_: Settings) -> bool:
    """Whether a file is part of a stack: it always is."""
    return True


@dataclass(frozen=True)
class Artifact:
    """A generated file: its path below the stack's folder, its text, and which stacks have it."""

    path: str
    text: Callable[[Settings], str]
    exists: Callable[[Settings], bool] = always

    def where(self, condition: Callable[[Settings], bool]) -> Artifact:
        """Return the same for the stacks of which a condition holds as well."""
        return replace(self, exists=lambda settings: condition(settings) and self.exists(settings))


def texts(artifacts: Iterable[Artifact], settings: Settings) -> Artifacts:
    """Return the texts of the artifacts that the stack has."""
    return {artifact.path: artifact.text(settings) for artifact in artifacts if artifact.exists(settings)}


def by_target(artifacts: Iterable[str]) -> dict[str, list[str]]:
    """Return the artifacts of each target, by their path below its folder."""
    groups: dict[str, list[str]] = {}
    for artifact in sorted(artifacts):
        target, _, file = artifact.partition("/")
        groups.setdefault(target, []).append(file)
    return groups


def affected(artifacts: Iterable[Artifact], settings: Settings) -> dict[Key, set[str]]:
    """Return the artifacts of the stack by the keys that are read for each: it is rendered to find out."""
    found: dict[Key, set[str]] = defaultdict(set)
    for artifact in artifacts:
        keys: set[Key] = set()
        reading = observed(settings, keys.add)
        if artifact.exists(reading):
            artifact.text(reading)
            for key in keys:
                found[key].add(artifact.path)
    return found

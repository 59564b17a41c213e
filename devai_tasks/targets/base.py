"""What all targets share: generated files, and how the lab's container is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from devai_tasks.config.document import Key
from devai_tasks.config.observing import observed
from devai_tasks.config.schema import Settings
from devai_tasks.workspace.writer import Artifacts

LAB_PORT = 8888
"""Default port that the lab listens on in its container."""
LAB_ENVIRONMENT = ("lab-env",)
"""Prefix of a command that runs in a lab's container, to give it the lab's environment (deploy/image/lab-env.sh)."""


def always(_: Settings) -> bool:
    """Whether a file is part of a stack: always true."""
    return True


@dataclass(frozen=True)
class Artifact:
    """A generated file: its path below the stack's folder, its content, and which stacks have it."""

    path: str
    text: Callable[[Settings], str]
    exists: Callable[[Settings], bool] = always

    def where(self, condition: Callable[[Settings], bool]) -> Artifact:
        """Return a copy that exists only for stacks that also meet the condition."""
        return replace(self, exists=lambda settings: condition(settings) and self.exists(settings))


def texts(artifacts: Iterable[Artifact], settings: Settings) -> Artifacts:
    """Return the content of every artifact that the stack has, by path."""
    return {artifact.path: artifact.text(settings) for artifact in artifacts if artifact.exists(settings)}


def by_target(artifacts: Iterable[str]) -> dict[str, list[str]]:
    """Return the artifacts grouped by target, as paths below the target's folder."""
    groups: dict[str, list[str]] = {}
    for artifact in sorted(artifacts):
        target, _, file = artifact.partition("/")
        groups.setdefault(target, []).append(file)
    return groups


def affected(artifacts: Iterable[Artifact], settings: Settings) -> dict[Key, set[str]]:
    """Return for each configuration key the artifacts that use it.

    Every artifact is rendered, and the keys that are read meanwhile are recorded.
    """
    artifacts_by_key: dict[Key, set[str]] = defaultdict(set)
    for artifact in artifacts:
        keys: set[Key] = set()
        observed_settings = observed(settings, keys.add)
        if artifact.exists(observed_settings):
            artifact.text(observed_settings)
            for key in keys:
                artifacts_by_key[key].add(artifact.path)
    return artifacts_by_key

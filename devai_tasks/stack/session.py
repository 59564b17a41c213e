"""One run of a task on a stack: what its flags ask for, and what follows from that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from devai_tasks.system import console

if TYPE_CHECKING:
    from devai_tasks.config.configuration import Configuration
    from devai_tasks.config.load import Sources
    from devai_tasks.config.project import Project
    from devai_tasks.config.schema import Settings
    from devai_tasks.config.stack import Stack
    from devai_tasks.engine.docker import Docker
    from devai_tasks.targets.kubernetes.deployment import Cluster


@dataclass(frozen=True)
class Session:
    """What the flags of one call ask for; `env` and `cloud` are empty where they were not given."""

    project: Project
    env: str
    cloud: str
    overrides: Sequence[str]
    gpu: bool
    dry: bool
    task: str = ""
    """The task that was called."""
    flags: Sequence[str] = ()
    """Its own flags, as they were given."""
    yes: bool = False
    """Whether to go on without asking."""
    confirm: str = ""
    """Project and stack, where they were given instead of being typed."""
    changes: bool = False
    """Whether the task changes the stack, as against one that only looks."""
    take_over: bool = False
    """Whether to take over a stack whose owner is gone or not recorded."""
    reported: set[str] = field(default_factory=set)
    """The placeholders that were printed already."""

    @cached_property
    def sources(self) -> Sources:
        """The configuration of all stacks."""
        from devai_tasks.config.load import Sources
        from devai_tasks.stack import loading

        return Sources(self.project, deployment=loading)

    @cached_property
    def stack(self) -> Stack:
        """The stack that is meant, with what changes it for this run."""
        from devai_tasks.config import layers

        stack = self.sources.stack(self.env, self.cloud, self.overrides)
        return replace(stack, changes=layers.words(self.overrides, gpu=self.gpu))

    @property
    def command(self) -> str:
        """The command that does the same once more."""
        return " ".join(["inv", self.task, self.stack.flags, *map(shlex.quote, self.flags)])

    @cached_property
    def configuration(self) -> Configuration:
        """What the layers say about the stack, with the overrides; prints which values are placeholders."""
        configuration = self.sources.configuration(self.stack, self.overrides, gpu=self.gpu)
        for line in configuration.stand_ins:
            if line not in self.reported:
                console.say(f"stand-in: {line}")
                self.reported.add(line)
        return configuration

    @cached_property
    def settings(self) -> Settings:
        """The stack's settings, for tasks that show or check, and for stacks of this machine."""
        return self.configuration.settings

    def reloaded(self) -> Session:
        """Return the same with the configuration as it is now."""
        return replace(self)

    @cached_property
    def docker(self) -> Docker:
        """The engine of this machine that the stack is for."""
        from devai_tasks.engine.docker import Docker

        docker = Docker(dry=self.dry)
        docker.choose(self.settings.engine.name)
        return docker

    @property
    def cluster(self) -> Cluster:
        """The stack's cluster."""
        from devai_tasks.targets.kubernetes.deployment import Cluster

        return Cluster(self.project, self.settings, dry=self.dry)

    @contextmanager
    def exclusive(self, *, recorded: bool) -> Iterator[None]:
        """Hold the stack's lock, and note the task in its history where it is `recorded`; under `--dry` neither."""
        if self.dry:
            yield
            return
        from devai_tasks.workspace import runs

        # Overrides by their keys only: a value may be a secret.
        overrides = [f"--set={override.partition('=')[0]}" for override in self.overrides]
        run = runs.begin(self.task, [*overrides, *(["--gpu"] if self.gpu else []), *self.flags])
        record = runs.recorded(self.project, self.stack, run) if recorded else nullcontext()
        with runs.alone(self.project, self.stack, run), record:
            yield

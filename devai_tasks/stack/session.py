"""Session: one run of a task on a stack, with its flags, configuration and engine."""

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
    """The flags of one call, and what is loaded for them; `env` and `cloud` are empty where they were left out."""

    project: Project
    env: str
    cloud: str
    overrides: Sequence[str]
    gpu: bool
    dry: bool
    task: str = ""
    """Name of the task."""
    flags: Sequence[str] = ()
    """The task's own flags, as they were typed."""
    yes: bool = False
    """Whether to continue without asking."""
    confirm: str = ""
    """Name of project and stack from `--confirm`, instead of typing it."""
    changes: bool = False
    """Whether the task changes the stack; False for a read-only task."""
    take_over: bool = False
    """Whether to take over a stack whose owner no longer exists or is not recorded."""
    reported: set[str] = field(default_factory=set)
    """The placeholders that were already printed."""

    @cached_property
    def sources(self) -> Sources:
        """Return the sources of the configuration of all stacks."""
        from devai_tasks.config.load import Sources
        from devai_tasks.stack import loading

        return Sources(self.project, deployment=loading)

    @cached_property
    def stack(self) -> Stack:
        """Return the selected stack, with its changes for this run."""
        from devai_tasks.config import layers

        stack = self.sources.stack(self.env, self.cloud, self.overrides)
        return replace(stack, changes=layers.flags_text(self.overrides, gpu=self.gpu))

    @property
    def command(self) -> str:
        """Return the command that repeats this run."""
        return " ".join(["inv", self.task, self.stack.flags, *map(shlex.quote, self.flags)])

    @cached_property
    def configuration(self) -> Configuration:
        """Return the stack's configuration with the overrides, and print which values are placeholders."""
        configuration = self.sources.configuration(self.stack, self.overrides, gpu=self.gpu)
        for line in configuration.placeholders:
            if line not in self.reported:
                console.say(f"placeholder: {line}")
                self.reported.add(line)
        return configuration

    @cached_property
    def settings(self) -> Settings:
        """Return the stack's settings, which may contain placeholders."""
        return self.configuration.settings

    def reloaded(self) -> Session:
        """Return the same session with a configuration that is reloaded on first use."""
        return replace(self)

    @cached_property
    def docker(self) -> Docker:
        """Return the container engine that the stack uses on this machine."""
        from devai_tasks.engine.docker import Docker

        docker = Docker(dry=self.dry)
        docker.choose(self.settings.engine.name)
        return docker

    @property
    def cluster(self) -> Cluster:
        """Return the stack's cluster."""
        from devai_tasks.targets.kubernetes.deployment import Cluster

        return Cluster(self.project, self.settings, dry=self.dry)

    @contextmanager
    def exclusive(self, *, recorded: bool) -> Iterator[None]:
        """Hold the stack's lock, and record the task in the stack's history if `recorded`; under `--dry` do neither."""
        if self.dry:
            yield
            return
        from devai_tasks.workspace import runs

        # Only the keys of overrides are recorded: a value may be a secret.
        overrides = [f"--set={override.partition('=')[0]}" for override in self.overrides]
        run = runs.begin(self.task, [*overrides, *(["--gpu"] if self.gpu else []), *self.flags])
        record = runs.recorded(self.project, self.stack, run) if recorded else nullcontext()
        with runs.alone(self.project, self.stack, run), record:
            yield

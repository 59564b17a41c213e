"""Whether a stack can run here: everything that it needs is looked at, and what is safe to fix is fixed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from devai_tasks.config.load import Sources
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.stack.doctor import machine as check_machine
from devai_tasks.stack.doctor import programs as check_programs
from devai_tasks.stack.doctor import stack as check_stack
from devai_tasks.stack.doctor.checks import Check, State
from devai_tasks.system.errors import ConfigError, DevaiError


@dataclass(frozen=True)
class Report:
    """Everything that was looked at for a stack."""

    stack: Stack
    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[Check]:
        """What keeps the stack from running."""
        return [check for check in self.checks if check.state is State.FAILED]

    @property
    def fixable(self) -> list[Check]:
        """What can be fixed without root, without cost and without loss."""
        return [check for check in self.checks if check.fix]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        checks = [check.as_json() for check in self.checks]
        return {"stack": str(self.stack), "can_run": not self.failed, "checks": checks}


def examine(sources: Sources, stack: Stack, overrides: Sequence[str], docker: Docker, *, gpu: bool = False) -> Report:
    """Look at everything; nothing is changed. Where the configuration is broken, nobody knows what the stack needs."""
    project = sources.project
    try:
        own = sources.configuration(stack, overrides, gpu=gpu)
    except ConfigError as error:
        return Report(stack, (check_stack.mistakes(error), *check_stack.private_files(project)))
    with suppress(DevaiError):  # that none answers is found below
        docker.choose(own.settings.engine.name)
    return Report(
        stack,
        (
            *check_programs.tools(project, own.settings),
            *check_machine.machine(project, own, docker),
            *check_stack.configuration(project, sources, own),
            *check_stack.private_files(project),
            *check_stack.credentials(own),
            *check_stack.deployment(own),
            *check_stack.cluster(own),
            *check_stack.home(own),
        ),
    )


def fix(report: Report) -> list[str]:
    """Do what is safe; returns what was done. Raises DevaiError with the reason where that fails."""
    done = []
    for check in report.fixable:
        assert check.fix  # noqa: S101 - only such are fixable
        check.fix.act()
        done.append(check.fix.title)
    return done


def commands(project: Project, sources: Sources, stack: Stack) -> list[str]:
    """What the programs of this machine are asked, for `--dry`."""
    settings = sources.configuration(stack).settings
    asked = [requirement.program.ask for requirement in check_programs.requirements(project, settings)]
    return [shlex.join(words) for words in [*asked, ("docker", "info")]]

"""Report of all checks of a stack, and safe fixes of its problems."""

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
    """All checks of a stack."""

    stack: Stack
    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[Check]:
        """Return the checks that keep the stack from running."""
        return [check for check in self.checks if check.state is State.FAILED]

    @property
    def fixable(self) -> list[Check]:
        """Return the checks whose problem can be fixed without root, without cost and without data loss."""
        return [check for check in self.checks if check.fix]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, for `--json`."""
        checks = [check.as_json() for check in self.checks]
        return {"stack": str(self.stack), "can_run": not self.failed, "checks": checks}


def examine(sources: Sources, stack: Stack, overrides: Sequence[str], docker: Docker, *, gpu: bool = False) -> Report:
    """Run all checks without changing anything; an invalid configuration leaves only the checks that need none."""
    project = sources.project
    try:
        configuration = sources.configuration(stack, overrides, gpu=gpu)
    except ConfigError as error:
        return Report(stack, (check_stack.invalid_configuration(error), *check_stack.private_files(project)))
    with suppress(DevaiError):  # an engine that does not answer is reported by a check
        docker.choose(configuration.settings.engine.name)
    return Report(
        stack,
        (
            *check_programs.tools(project, configuration.settings),
            *check_machine.machine(project, configuration, docker),
            *check_stack.configuration(project, sources, configuration),
            *check_stack.private_files(project),
            *check_stack.credentials(configuration),
            *check_stack.deployment(configuration),
            *check_stack.cluster(configuration),
            *check_stack.home(configuration),
        ),
    )


def fix(report: Report) -> list[str]:
    """Fix what is safe to fix, and return what was done. Raises DevaiError where a fix fails."""
    done = []
    for check in report.fixable:
        assert check.fix  # noqa: S101 - `fixable` has only checks with a fix
        check.fix.act()
        done.append(check.fix.title)
    return done


def commands(project: Project, sources: Sources, stack: Stack) -> list[str]:
    """Return the commands that the checks run on this machine, for `--dry`."""
    settings = sources.configuration(stack).settings
    queries = [requirement.program.ask for requirement in check_programs.requirements(project, settings)]
    return [shlex.join(argv) for argv in [*queries, ("docker", "info")]]

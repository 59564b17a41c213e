"""How tasks are declared: what every task of a stack takes, and how an error leaves it.

`--env`, `--cloud`, `--gpu` and `--set` stand here, once. No task has positionals: Invoke would let one swallow a flag.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

if TYPE_CHECKING:
    from devai_tasks.config.project import Project
    from devai_tasks.config.schema import Settings
    from devai_tasks.config.stack import Stack
    from devai_tasks.tools.docker import Docker

Declare = Callable[[Callable[..., None]], Task[Any]]
"""A decorator that makes a task of a function."""

DEFAULT_ENVIRONMENT = "dev"
DEFAULT_CLOUD = "local"

_STACK_HELP = {
    "env": f"environment: a file in conf/profiles (default: {DEFAULT_ENVIRONMENT}; shipped: dev, staging, prod)",
    "cloud": f"cloud: a file in conf/clouds (default: {DEFAULT_CLOUD}; shipped: local)",
    "gpu": "with GPUs, whatever gpu.enabled says (default: as configured)",
    "set": "override a key for this run, as --set ports.lab=9000; can be repeated",
}


@dataclass(frozen=True)
class Request:
    """What the flags of one call ask for."""

    project: Project
    stack: Stack
    overrides: Sequence[str]
    gpu: bool
    dry: bool

    @cached_property
    def settings(self) -> Settings:
        """The stack's settings, with the overrides of this call."""
        from devai_tasks.config.load import load

        return load(self.project, self.stack, self.overrides, gpu=self.gpu)

    @cached_property
    def docker(self) -> Docker:
        """The engine of this machine."""
        from devai_tasks.tools.docker import Docker

        return Docker(dry=self.dry)


def plain_task(*, help: Mapping[str, str] | None = None, **options: Any) -> Declare:
    """A task that concerns no stack."""

    def declare(body: Callable[..., None]) -> Task[Any]:
        def run(c: Context, **flags: Any) -> None:
            with clean_exit():
                body(c, **flags)

        return _declared(run, body, list(inspect.signature(body).parameters.values()), dict(help or {}), options)

    return declare


def stack_task(*, help: Mapping[str, str] | None = None, **options: Any) -> Declare:
    """A task that works on a stack: its body gets a Request beside its own flags."""

    def declare(body: Callable[..., None]) -> Task[Any]:
        def run(c: Context, **flags: Any) -> None:
            with clean_exit():
                from devai_tasks.config.project import Project

                project = Project.find()
                stack = project.stack(flags.pop("env"), flags.pop("cloud"))
                # Paths in artefacts and in printed commands are relative to the project.
                os.chdir(project.root)
                dry = bool(c.config.run.dry)
                body(c, Request(project, stack, flags.pop("set_"), flags.pop("gpu"), dry), **flags)

        context, _, *own = inspect.signature(body).parameters.values()
        flags = {"env": DEFAULT_ENVIRONMENT, "cloud": DEFAULT_CLOUD, "gpu": False, "set_": []}
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [context, *own, *(inspect.Parameter(name, kind, default=value) for name, value in flags.items())]
        iterable = [*options.pop("iterable", ()), "set_"]
        return _declared(run, body, parameters, {**(help or {}), **_STACK_HELP}, {**options, "iterable": iterable})

    return declare


def _declared(
    run: Callable[..., None],
    body: Callable[..., None],
    parameters: Sequence[inspect.Parameter],
    help: dict[str, str],
    options: Mapping[str, Any],
) -> Task[Any]:
    """The Invoke task for a body, with the signature that its flags are read from."""
    run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by inspect, unknown to mypy
    # Short flags would move whenever a parameter is added. (Invoke types its decorator as one that returns a function.)
    declared: Task[Any] = task(run, help=help, auto_shortflags=False, **options)  # type: ignore[assignment]
    return declared


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn our own errors into one message and their exit code; `DEVAI_TRACEBACK=1` shows where they came from."""
    from devai_tasks.errors import DevaiError

    try:
        yield
    except (DevaiError, OSError) as error:
        if os.environ.get("DEVAI_TRACEBACK") == "1":
            raise
        from devai_tasks import console

        # What the file system refuses is the world's: no rights, no room, a file where a folder should be.
        message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        console.fail(message)
        raise Exit(code=getattr(error, "exit_code", 1)) from error

"""The console script `devai`: the same tasks as `inv`, with nearest names and exit code 2 for mistyped ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from devai_tasks.cli.collections import namespace, trust
from devai_tasks.cli.decorators import clean_exit
from devai_tasks.system.errors import nearest, unknown

# Those of `--list-format`.
_FORMS = ("flat", "nested", "json")
# Tasks that run nothing of the project that they are called in.
_WITHOUT_TRUST = {"new", "trust"}


class Devai(Program):
    """Invoke's program, with its own answer to what it can't parse."""

    def parse_core(self, argv: list[str] | None) -> None:
        """As Invoke's; a mistyped flag becomes exit code 2."""
        with self._suggesting():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """As Invoke's; a mistyped task or flag becomes exit code 2, with the nearest one."""
        with self._suggesting():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """As Invoke's; what `--help` and `--list` can't show becomes exit code 2, with the nearest that they can."""
        collection, form = self.args.list.value, self.args["list-format"].value
        if isinstance(collection, str) and collection not in namespace.collections:
            raise Exit(unknown("collection", collection, namespace.collections), code=2)
        if form not in _FORMS:
            raise Exit(unknown("format", form, _FORMS), code=2)
        with self._suggesting():
            super().parse_cleanup()

    def execute(self) -> None:
        """As Invoke's, in a project that is trusted. Plain `inv` runs the project's own tasks.py, and needs no such."""
        if {task.name for task in self.tasks} - _WITHOUT_TRUST:
            with clean_exit():
                trust.ensure()
        super().execute()

    @contextmanager
    def _suggesting(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # a flag of Invoke's own wants a number
            raise Exit(str(error), code=2) from error
        except ParseError as error:
            if flag := re.search(r"<Argument: ([\w-]+).*needed value", str(error)):
                raise Exit(_without_value(flag[1], error), code=2) from error
            typed = re.search(r"'(.+?)'", str(error))
            # The task itself is right where one of its flags lacks a value.
            words = [word for word in self._known(error) if typed and word != typed[1]]
            raise Exit(f"{str(error).rstrip('!')}{nearest(typed[1], words) if typed else ''}", code=2) from error

    def _known(self, error: ParseError) -> list[str]:
        """The flags of the task that was being parsed, and all tasks."""
        flags = list(error.context.flags) if error.context and error.context.name else []
        return [*flags, *namespace.task_names]


def _without_value(flag: str, error: ParseError) -> str:
    """The message for a flag that was typed alone."""
    task = error.context.name if error.context else None
    return f"--{flag} needs a value: --{flag}=…; `devai --help{f' {task}' if task else ''}` says which"


program = Devai(name="devai", binary="devai", namespace=namespace, version=version("devai-tasks"))

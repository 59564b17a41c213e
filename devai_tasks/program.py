"""The console script `devai`: the same tasks as `inv`, with nearest names and exit code 2 for mistyped ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from devai_tasks.errors import nearest
from devai_tasks.tasks import namespace


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

    @contextmanager
    def _suggesting(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # a flag of Invoke's own wants a number
            raise Exit(str(error), code=2) from error
        except ParseError as error:
            typed = re.search(r"'(.+?)'", str(error))
            # The task itself is right where one of its flags lacks a value.
            words = [word for word in self._known(error) if typed and word != typed[1]]
            raise Exit(f"{str(error).rstrip('!')}{nearest(typed[1], words) if typed else ''}", code=2) from error

    def _known(self, error: ParseError) -> list[str]:
        """The flags of the task that was being parsed, and all tasks."""
        flags = list(error.context.flags) if error.context and error.context.name else []
        return [*flags, *namespace.task_names]


program = Devai(name="devai", binary="devai", namespace=namespace, version=version("devai-tasks"))

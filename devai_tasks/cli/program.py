"""Console script `devai`: the tasks of `inv`, with suggestions and exit code 2 for mistyped names."""

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

# The values of `--list-format`.
_FORMATS = ("flat", "nested", "json")
# Tasks that run no code of the project in the current folder.
_WITHOUT_TRUST = {"new", "trust"}


class Devai(Program):
    """Invoke's program with suggestions for arguments that it can't parse."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse Invoke's own flags; a mistyped flag exits with code 2."""
        with self._suggesting():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Parse tasks and their flags; a mistyped name exits with code 2 and the nearest match."""
        with self._suggesting():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Run `--help` and `--list`; an unknown name exits with code 2 and the nearest match."""
        collection, list_format = self.args.list.value, self.args["list-format"].value
        if isinstance(collection, str) and collection not in namespace.collections:
            raise Exit(unknown("collection", collection, namespace.collections), code=2)
        if list_format not in _FORMATS:
            raise Exit(unknown("format", list_format, _FORMATS), code=2)
        with self._suggesting():
            super().parse_cleanup()

    def execute(self) -> None:
        """Execute the tasks in a trusted project only.

        Plain `inv` does not ask, because Invoke runs the project's tasks.py in any case.
        """
        if {task.name for task in self.tasks} - _WITHOUT_TRUST:
            with clean_exit():
                trust.ensure()
        super().execute()

    @contextmanager
    def _suggesting(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # one of Invoke's own flags needs a number
            raise Exit(str(error), code=2) from error
        except ParseError as error:
            if flag := re.search(r"<Argument: ([\w-]+).*needed value", str(error)):
                raise Exit(_without_value(flag[1], error), code=2) from error
            typed = re.search(r"'(.+?)'", str(error))
            # A task whose flag has no value is reported by its own correct name: no suggestion for that name.
            names = [name for name in self._known(error) if typed and name != typed[1]]
            raise Exit(f"{str(error).rstrip('!')}{nearest(typed[1], names) if typed else ''}", code=2) from error

    def _known(self, error: ParseError) -> list[str]:
        """Return the flags of the task that was being parsed, and the names of all tasks."""
        flags = list(error.context.flags) if error.context and error.context.name else []
        return [*flags, *namespace.task_names]


def _without_value(flag: str, error: ParseError) -> str:
    """Return the message for a flag without its value."""
    task = error.context.name if error.context else None
    return f"--{flag} needs a value: --{flag}=…; `devai --help{f' {task}' if task else ''}` describes it"


program = Devai(name="devai", binary="devai", namespace=namespace, version=version("devai-tasks"))

"""Names, help texts and flags of all tasks, for the generated reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.tasks import Task

if TYPE_CHECKING:
    from devai_tasks.stack.task_reference import Entry, Flag

# The parameters that `decorators.stack_task` adds to every task.
_OF_STACK = ("env", "cloud", "gpu", "set_")
_ROOT = "The whole stack"


def markdown(namespace: Collection) -> str:
    """Return the reference of the tasks in a namespace, as Markdown."""
    from devai_tasks.stack import task_reference

    tasks = {name: namespace[name] for name in sorted(namespace.task_names)}
    common = [flag for name, flag in _flags(tasks["up"]) if name in _OF_STACK]
    groups: dict[str, list[Entry]] = {_ROOT: []}
    for name, task in tasks.items():
        groups.setdefault(_title(namespace, name.rpartition(".")[0]), []).append(_entry(name, task, common))
    return task_reference.markdown(groups, common)


def _title(namespace: Collection, collection: str) -> str:
    """Return the title of a collection: the first line of its module's docstring."""
    if not collection:
        return _ROOT
    return str(namespace.collections[collection].__doc__).strip().splitlines()[0].rstrip(".")


def _entry(name: str, task: Task[Any], common: Sequence[Flag]) -> Entry:
    from devai_tasks.stack.task_reference import Entry

    flags = [flag for _, flag in _flags(task) if flag not in common]
    of_stack = set(_OF_STACK) <= set(inspect.signature(task.body).parameters)
    return Entry(name, " ".join(str(task.__doc__).split()), flags, of_stack)


def _flags(task: Task[Any]) -> Iterator[tuple[str, Flag]]:
    """Yield each parameter of a task and the flag that Invoke derives from the parameter."""
    from devai_tasks.stack.task_reference import Flag

    texts: Mapping[str, str] = task.body.help_of_flags  # type: ignore[attr-defined] # set by `decorators._declared`
    _, *parameters = inspect.signature(task.body).parameters.values()
    for parameter in parameters:
        name = parameter.name.strip("_").replace("_", "-")
        yield parameter.name, Flag(_spelling(name, parameter, task), texts[parameter.name.strip("_")])


def _spelling(name: str, parameter: inspect.Parameter, task: Task[Any]) -> str:
    if parameter.name in task.positional and parameter.name not in task.iterable:
        return name.upper()
    if parameter.default is True:
        return f"--[no-]{name}"
    return f"--{name}" if parameter.default is False else f"--{name}=…"

"""Configuration: what it says, and what is made of it."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks import console
from devai_tasks.tasks.declare import Request, stack_task


@stack_task(
    help={"key": "one key or section, such as ports.lab (default: all)", "json": "for programs (default: YAML)"}
)
def show(c: Context, request: Request, key: str = "", json: bool = False) -> None:
    """Show the settings of a stack."""
    import yaml

    from devai_tasks.config import plain

    value = plain.select(plain.tree(request.settings), key)
    if json:
        return console.show_json(value)
    if isinstance(value, (dict, list)):
        return console.show(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    console.show(str(value).lower() if isinstance(value, bool) else str(value))


@stack_task()
def render(c: Context, request: Request) -> None:
    """Write a stack's artefacts to generated/<stack>/."""
    from devai_tasks.operations import artefacts

    folder = artefacts.write(request.project, request.settings)
    console.say(f"rendered {folder.relative_to(request.project.root)}/")

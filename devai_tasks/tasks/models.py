"""Models: what the lab's Ollama can answer with."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks import console
from devai_tasks.errors import UsageError
from devai_tasks.tasks.declare import Request, stack_task


@stack_task(help={"name": "a model or a GGUF file (default: those of `models:`); can be repeated"}, iterable=["name"])
def pull(c: Context, request: Request, name: list[str]) -> None:
    """Bring models; those that are there are not brought again."""
    from devai_tasks.operations import models

    models.pull(request.project, request.settings, models.server(request.settings, dry=request.dry), name)


@stack_task(name="list", help={"json": "for programs (default: a table)"})
def list_(c: Context, request: Request, json: bool = False) -> None:
    """Show the models that the lab has."""
    from devai_tasks.operations import models

    found = models.server(request.settings, dry=request.dry).models()
    if json:
        return console.show_json([{"name": name, "bytes": size} for name, size in found.items()])
    console.table(["model", "size"], [[name, f"{size / 1e6:,.0f} MB"] for name, size in found.items()])


@stack_task(help={"name": "the model; can be repeated"}, iterable=["name"])
def remove(c: Context, request: Request, name: list[str]) -> None:
    """Remove models from the lab."""
    from devai_tasks.operations import models

    if not name:
        raise UsageError("which one? --name=MODEL; `inv models.list` shows them")
    server = models.server(request.settings, dry=request.dry)
    for model in name:
        server.remove(models.tag(model))
        if not request.dry:
            console.say(f"model {model}: removed")

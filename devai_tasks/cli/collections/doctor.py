"""What this machine lacks for a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console

if TYPE_CHECKING:
    from devai_tasks.stack.doctor.report import Report

# States of a check whose hint is shown.
_PROBLEMS = ("failed", "advice")


@stack_task(
    help={
        "fix": "fix first what needs no root, costs nothing and loses nothing (default: only look)",
        "json": "for programs (default: a line for each check)",
    }
)
def doctor(c: Context, session: Session, fix: bool = False, json: bool = False) -> None:
    """Look for what the stack lacks to run here: tools, engine, disk, ports, logins; ends with 1 where it can't."""
    from devai_tasks.stack.doctor import report as operation

    if session.dry:
        for line in operation.commands(session.project, session.sources, session.stack):
            console.say(line)
        return
    report, done = _examine(session), []
    if fix and report.fixable:
        done = operation.fix(report)
        for line in done:
            console.say(f"fixed: {line}")
        report = _examine(session.reloaded())
    if json:
        console.show_json({**report.as_json(), "fixed": done})
    else:
        _show(report)
    if report.failed:
        raise Exit(code=1)


def _examine(session: Session) -> Report:
    from devai_tasks.engine.docker import Docker
    from devai_tasks.stack.doctor import report as operation

    with console.waiting("looking"):
        # Not the session's own: a broken configuration is one of the findings.
        return operation.examine(session.sources, session.stack, session.overrides, Docker(), gpu=session.gpu)


def _show(report: Report) -> None:
    """Print group by group, one line for each check, and below a problem its hint."""
    width = max(len(check.name) for check in report.checks)
    group = ""
    for check in report.checks:
        if check.group != group:
            group = check.group
            console.show(f"{group}:")
        wanted = f"; wanted: {check.wanted}" if check.wanted and check.state in _PROBLEMS else ""
        if check.state == "unneeded" and check.group == "tools":
            wanted = "; not needed"
        console.mark(str(check.state), f"{check.name:{width}}  {check.found}{wanted}")
        if check.hint and check.state in _PROBLEMS:
            for line in check.hint.splitlines():
                console.show(f"  {'':{width}}    {line}")
    mendable = [check for check in report.fixable if check.state in _PROBLEMS]
    if mendable:
        names = ", ".join(check.name for check in mendable)
        console.show(f"`inv doctor --fix` fixes {names}")
    count = len(report.failed)
    problems = f"{count} problem{'s' if count != 1 else ''} to solve first"
    console.show(f"{report.stack} {f'cannot run: {problems}' if count else 'can run'}")

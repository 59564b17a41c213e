"""Doctor: check what a stack needs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console

if TYPE_CHECKING:
    from devai_tasks.stack.doctor.report import Report

# Checks in these states are printed with their hint.
_PROBLEMS = ("failed", "advice")


@stack_task(
    help={
        "fix": "first fix problems that need no root, cost nothing and lose no data (default: only report)",
        "json": "print JSON (default: one line for each check)",
    }
)
def doctor(c: Context, session: Session, fix: bool = False, json: bool = False) -> None:
    """Check tools, engine, disk, ports and logins that the stack needs; exit with 1 if the stack can't run."""
    from devai_tasks.stack.doctor import report as doctor_report

    if session.dry:
        for line in doctor_report.commands(session.project, session.sources, session.stack):
            console.say(line)
        return
    report, done = _examine(session), []
    if fix and report.fixable:
        done = doctor_report.fix(report)
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
    from devai_tasks.stack.doctor import report as doctor_report

    with console.waiting("checking"):
        # Not the session's configuration, which raises: an invalid configuration is one of the findings.
        return doctor_report.examine(session.sources, session.stack, session.overrides, Docker(), gpu=session.gpu)


def _show(report: Report) -> None:
    """Print the checks by group, one line for each check, with the hint below each problem."""
    width = max(len(check.name) for check in report.checks)
    group = ""
    for check in report.checks:
        if check.group != group:
            group = check.group
            console.show(f"{group}:")
        required = f"; required: {check.wanted}" if check.wanted and check.state in _PROBLEMS else ""
        if check.state == "unneeded" and check.group == "tools":
            required = "; not needed"
        console.mark(str(check.state), f"{check.name:{width}}  {check.found}{required}")
        if check.hint and check.state in _PROBLEMS:
            for line in check.hint.splitlines():
                console.show(f"  {'':{width}}    {line}")
    fixable = [check for check in report.fixable if check.state in _PROBLEMS]
    if fixable:
        names = ", ".join(check.name for check in fixable)
        console.show(f"`inv doctor --fix` fixes {names}")
    count = len(report.failed)
    problems = f"{count} problem{'s' if count != 1 else ''} to fix first"
    console.show(f"{report.stack} {f'cannot run: {problems}' if count else 'can run'}")

"""How a plan of Terraform is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devai_tasks import console

if TYPE_CHECKING:
    from devai_tasks.operations.terraform import Work
    from devai_tasks.tools.plan import Plan


def show(work: Work, planned: Plan, *, json: bool = False, markdown: bool = False) -> None:
    """Print what a plan does, for people or for programs; under `--dry` nothing."""
    if work.dry:
        return None
    stack = work.settings.stack
    if json:
        return console.show_json({"stack": str(stack), "offline": work.offline, "note": work.note, **planned.as_json()})
    if markdown:
        return console.show(planned.markdown(str(stack), work.note))
    if planned.changes:
        rows = [[change.kind, change.address, ", ".join(change.attributes)] for change in planned.changes]
        console.table(["", "resource", "what"], rows)
    console.show(f"{stack}: {planned.sentence}")
    if work.offline:
        console.show(work.note)

"""What runs of a stack, and what `up` would change in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devai_tasks.stack import overview, terraform_step, workloads
from devai_tasks.stack.overview import Overview
from devai_tasks.stack.session import Session
from devai_tasks.stack.workload import PLANNED, Row
from devai_tasks.workspace import runs

# Addresses that Terraform contacts for a plan: where its state is, and a certificate of Azure's Key Vault.
_OF_TERRAFORM = (("terraform", "state", "store"), ("terraform", "certificate"))


def compare(session: Session) -> Overview:
    """Return what `up` would change; on a stack that lacks what comes first, what would be new then."""
    found = Overview(str(session.stack))
    if unvisited := session.configuration.why_unvisited(*_OF_TERRAFORM):
        found.notes.append(f"not compared: {unvisited}")
        return found
    session = terraform_step.informed(session, anyway=True)
    found.keys = overview.changed_keys(session.project, session.configuration)
    workloads.of(session).compare(found)
    return found


def of(session: Session) -> Mapping[str, Any]:
    """Return what runs where: rows of target, what, state and version; the owner, address, drift, and last change."""
    if unvisited := session.configuration.why_unvisited(*_OF_TERRAFORM):
        rows: list[Row] = [
            {"target": "terraform", "what": "state", "state": f"not looked at: {unvisited}", "version": ""}
        ]
        workload = workloads.of(session)
        drift = PLANNED
    else:
        workload = workloads.of(terraform_step.informed(session))
        rows = list(workload.rows())
        drift = workload.drift() if rows and not session.dry else ""
    runs_here = bool(rows) or not session.settings.compute.uses_compose
    last, owner = runs.last(session.project, session.stack), workload.owner()
    return {
        "stack": str(session.stack),
        "rows": rows,
        "owner": owner.words if owner else "",
        "address": workload.address() if runs_here else "",
        "drift": drift,
        "last change": f"{last['task']} by {last['who']} at {last['time']}: {last['result']}" if last else "",
    }

"""Status of a stack: what runs, and what `up` would change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devai_tasks.stack import overview, terraform_step, workloads
from devai_tasks.stack.overview import Overview
from devai_tasks.stack.session import Session
from devai_tasks.stack.workload import PLANNED, Row
from devai_tasks.workspace import runs

# Keys with addresses that Terraform contacts for a plan: the state store, and a certificate in Azure Key Vault.
_OF_TERRAFORM = (("terraform", "state", "store"), ("terraform", "certificate"))


def compare(session: Session) -> Overview:
    """Return what `up` would change; for an incomplete stack, assume that its earlier parts exist."""
    result = Overview(str(session.stack))
    if unvisited := session.configuration.why_unvisited(*_OF_TERRAFORM):
        result.notes.append(f"not compared: {unvisited}")
        return result
    session = terraform_step.with_state(session, always=True)
    result.keys = overview.changed_keys(session.project, session.configuration)
    workloads.of(session).compare(result)
    return result


def of(session: Session) -> Mapping[str, Any]:
    """Return what runs, as rows of target, what, state and version, with owner, address, drift and last change."""
    if unvisited := session.configuration.why_unvisited(*_OF_TERRAFORM):
        rows: list[Row] = [
            {"target": "terraform", "what": "state", "state": f"not checked: {unvisited}", "version": ""}
        ]
        workload = workloads.of(session)
        drift = PLANNED
    else:
        workload = workloads.of(terraform_step.with_state(session))
        rows = list(workload.rows())
        drift = workload.drift() if rows and not session.dry else ""
    runs_here = bool(rows) or not session.settings.compute.uses_compose
    last, owner = runs.last(session.project, session.stack), workload.owner()
    return {
        "stack": str(session.stack),
        "rows": rows,
        "owner": owner.summary if owner else "",
        "address": workload.address() if runs_here else "",
        "drift": drift,
        "last change": f"{last['task']} by {last['who']} at {last['time']}: {last['result']}" if last else "",
    }

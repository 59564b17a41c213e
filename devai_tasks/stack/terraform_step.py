"""Terraform steps of a stack: plans are shown and confirmed before they are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from devai_tasks import clouds
from devai_tasks.config.secrets import TOKEN
from devai_tasks.stack import consent, overview
from devai_tasks.stack.overview import PlannedChange
from devai_tasks.stack.session import Session
from devai_tasks.stack.steps import Step
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.targets.terraform import outputs, records
from devai_tasks.targets.terraform.deployment import TerraformProject
from devai_tasks.targets.terraform.saved_plan import Plan
from devai_tasks.workspace import ownership, state
from devai_tasks.workspace.ownership import Claim, Owner

# Tasks that create values: their placeholders are accepted before Terraform has run.
CREATED_LATER = ("tf.apply", "image.push", "image.push --gpu")
# Keys whose values are needed before any workload can run.
NEEDED = (("kubernetes", "context"), ("image", "registry"), ("image", "digest"), ("image", "gpu", "digest"))


def apply(
    session: Session,
    *,
    offline: bool = False,
    resources: Sequence[str] = (),
    replan: bool = False,
    stopped: bool = False,
) -> Mapping[str, Any]:
    """Plan unless a plan is saved, show the changes, ask, apply, record the outputs, and return them.

    Args:
        session: the run of the task.
        offline: whether to use provider schema snapshots and a local state, without credentials.
        resources: addresses to limit the run to.
        replan: whether to ignore a saved plan.
        stopped: whether to plan as if no image were pushed, so that everything exists except the service.
    """
    check(session, offline=offline)
    ignored = bool(resources) or replan or stopped
    identified = ignored or not terraform.has_saved_plan(session.project, session.settings)
    with planning(session, offline=offline, stopped=stopped, identified=identified) as work:
        planned = None if ignored else terraform.saved_plan(work)
        if planned is None:
            planned = terraform.plan(work, resources=resources)
        show(work, planned)
        if not planned.is_empty:
            losses = ", ".join(planned.destructive_changes) if session.settings.protected else ""
            consent.allow(
                session, planned.sentence, loses=f"what is destroyed or replaced here ({losses})" if losses else ""
            )
        if planned.is_empty and not session.dry:
            terraform.delete_plan(work)
            values = work.tool.outputs()
        else:
            values = terraform.apply(work)
        if not (offline or session.dry):
            note_record(work)
            if not stopped:
                outputs.note(session.project, session.settings, values)
    return values


def rotate(session: Session) -> None:
    """Ask, replace the lab's token in the cloud's secret manager, and roll it out."""
    session = with_state(session, always=True)
    check(session, offline=False)
    consent.allow(session, consent.ROTATION)
    if not session.dry:
        state.renew_token(session.project, session.stack)
    # A machine that never had the old token would take the new one for the recorded version: increase the version.
    version = session.settings.terraform.secret_versions.get(TOKEN, 0) + 1
    rotated = replace(session, overrides=[*session.overrides, f"terraform.secret_versions.{TOKEN}={version}"])
    with consent.rotating(session):
        apply(rotated, replan=True)


def destroy(session: Session, *, offline: bool = False, data: bool, emptied: bool = False) -> None:
    """Show what is destroyed, ask, and destroy it; return early where nothing exists.

    `emptied` tells that the objects that the stack's cluster has created in the cloud were already removed.
    """
    refuse_protected(session)
    check(session, offline=offline)
    with planning(session, offline=offline) as work:
        # With data, the plan is made and applied in a copy of the configuration without `prevent_destroy`.
        work, planned = terraform.plan_destruction(work, data=data)  # noqa: PLW2901
        show(work, planned)
        if planned.is_empty and not session.dry:
            if not (offline or records.managed(work.tool.state())):
                state.delete_records(session.project, session.stack)
            return console.say(f"{session.stack}: nothing to destroy")
        if not emptied:
            terraform.warn_of_cluster(work, data=data)
        loses = f"{len(planned.changes)} resources" + (", including all notebooks and models" if data else "")
        consent.allow(session, planned.sentence, loses=loses)
        if terraform.unprotect(work, planned):
            work, _ = terraform.plan_destruction(work, data=data)  # noqa: PLW2901 - the state has changed
        terraform.apply(work)
        if not (offline or session.dry):
            state.delete_records(session.project, session.stack)
            note_record(work)  # for the data that is kept
    return None


def creation(session: Session) -> Step:
    """Return the step that creates the cloud resources of a stack."""
    return Step("terraform", "create the stack's cloud resources", lambda: apply(session, replan=True))


def destruction(session: Session, *, data: bool) -> Step:
    """Return the step that destroys the cloud resources of a stack. Raises UsageError if the stack is protected."""
    refuse_protected(session)  # before an earlier step removes the lab
    clouds.terraform_of(session.settings).check_account(session.settings, dry=session.dry)
    return Step(
        "terraform",
        "destroy the stack's cloud resources",
        lambda: destroy(session, data=data, emptied=True),
    )


def changes(session: Session) -> list[PlannedChange]:
    """Return what Terraform would change."""
    with terraform.work(session.project, session.settings, dry=session.dry) as work:
        planned = terraform.plan(work)
        if planned.is_empty:
            terraform.delete_plan(work)
        return overview.of_terraform(planned)


def note_record(work: TerraformProject) -> None:
    """Record the owner in Terraform's state locally, after this machine has changed the state."""
    record = records.of_state(work.tool.state(), work.settings)
    records.note(work.project, work.settings, records.owned(work.settings, record))


def with_state(session: Session, *, always: bool = False) -> Session:
    """Return the session with the values from Terraform's state, which another machine may have written.

    The state is read where a value is missing here, or `always`: a plan has to know all secrets, and another machine
    may have added some. Raises UsageError where a task would change a stack that may belong to another project.
    """
    deployed = session.settings.terraform.deployed
    known = deployed.name and deployed.project and not any(key in NEEDED for key in session.configuration.unresolved)
    if session.dry or (known and not always) or not session.settings.compute.uses_terraform:
        return session
    session = session.reloaded()  # an earlier step may have taken it over
    content, record, owner = terraform.state_of(session.project, session.settings)
    owned = _check_owner(session, owner)
    record = records.owned(session.settings, record) if owned else replace(record, project="")
    records.note(session.project, session.settings, record)
    outputs.note(session.project, session.settings, records.outputs(content), planning=True)
    return session.reloaded()


def has_cluster(session: Session) -> bool:
    """Whether the stack's state has a cluster; its outputs remain where a destruction was interrupted."""
    with working(session, offline=False, looking=True) as work:
        terraform.prepare(work)
        return terraform.has_cluster(work.tool.state())


def working(session: Session, *, offline: bool, looking: bool = False) -> AbstractContextManager[TerraformProject]:
    """Return the Terraform client of a stack, to read its state; `looking` leaves the client's files unchanged."""
    session = session if offline else with_state(session)
    return terraform.work(session.project, session.settings, offline=offline, dry=session.dry, looking=looking)


def planning(
    session: Session, *, offline: bool, stopped: bool = False, identified: bool = False
) -> AbstractContextManager[TerraformProject]:
    """Return the Terraform client of a stack, to plan with the values from the state; offline there is no state.

    With `identified`, the project gets an identity if it has none, for the owner record of a deployment.
    """
    session = session if offline else with_state(session, always=True)
    if identified and not (offline or session.dry):
        ownership.ensure_id(session.project, session.settings)
        session = session.reloaded()
    settings = terraform.without_image(session.settings) if stopped else session.settings
    return terraform.work(session.project, settings, offline=offline, dry=session.dry)


def check(session: Session, *, offline: bool) -> None:
    """Check before a change that the configuration is complete and the credentials match; offline check nothing."""
    if not (offline or session.dry):
        settings = session.configuration.to_deploy(before=CREATED_LATER)
        clouds.terraform_of(settings).check_account(settings)


def refuse_protected(session: Session) -> None:
    """Raise UsageError for a protected stack."""
    if session.settings.protected:
        location = session.configuration.origins(("protected",))[0].place
        raise UsageError(
            f"{session.stack} is protected ({location}) and can't be destroyed",
            hint="set `protected: false` there first",
            code="DEVAI-TF-011",
        )


def show(work: TerraformProject, planned: Plan, *, json: bool = False, markdown: bool = False) -> None:
    """Print the changes in a plan, as a table, JSON or Markdown; under `--dry` print nothing."""
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


def _check_owner(session: Session, owner: Owner) -> bool:
    """Check the owner in Terraform's state, and return whether the stack belongs to this project from now on.

    A task that changes the stack asks whether to take over a stack whose owner is unclear, and raises UsageError if it
    is not taken over. A read-only task prints a warning.
    """
    if session.changes:
        consent.take_over(session, owner)
    elif owner.claim is Claim.UNCLEAR:
        console.warn(f"{owner.sentence}; a task that changes the stack asks whether to take it over")
    return session.changes or owner.claim is Claim.OWN

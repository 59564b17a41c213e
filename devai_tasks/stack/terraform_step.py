"""Terraform for a stack: plans are shown and asked about before they are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from devai_tasks import clouds
from devai_tasks.config.secrets import TOKEN
from devai_tasks.stack import consent, overview
from devai_tasks.stack.overview import Change
from devai_tasks.stack.session import Session
from devai_tasks.stack.steps import Step
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.targets.terraform import outputs, records
from devai_tasks.targets.terraform.deployment import Work
from devai_tasks.targets.terraform.saved_plan import Plan
from devai_tasks.workspace import ownership, state
from devai_tasks.workspace.ownership import Claim, Owner

# What exists only after Terraform has run is not missed before.
CREATED_LATER = ("tf.apply", "image.push", "image.push --gpu")
# What has to be known of a stack before anything of it can run.
NEEDED = (("kubernetes", "context"), ("image", "registry"), ("image", "digest"), ("image", "gpu", "digest"))


def apply(
    session: Session,
    *,
    offline: bool = False,
    resources: Sequence[str] = (),
    replan: bool = False,
    stopped: bool = False,
) -> Mapping[str, Any]:
    """Plan where no plan is saved, show, ask, and apply; returns the outputs, and notes what they tell of the stack.

    With `replan` a saved plan doesn't count. With `stopped` it is as if no image were pushed: everything is there, but
    what would run one.
    """
    check(session, offline=offline)
    ignored = bool(resources) or replan or stopped
    identified = ignored or not terraform.has_saved_plan(session.project, session.settings)
    with planning(session, offline=offline, stopped=stopped, identified=identified) as work:
        planned = None if ignored else terraform.saved_plan(work)
        if planned is None:
            planned = terraform.plan(work, resources=resources)
        show(work, planned)
        if not planned.empty:
            lost = ", ".join(planned.losses) if session.settings.protected else ""
            consent.allow(
                session, planned.sentence, loses=f"what is destroyed or replaced here ({lost})" if lost else ""
            )
        if planned.empty and not session.dry:
            terraform.forget_plan(work)
            made = work.tool.outputs()
        else:
            made = terraform.apply(work)
        if not (offline or session.dry):
            note_record(work)
            if not stopped:
                outputs.note(session.project, session.settings, made)
    return made


def rotate(session: Session) -> None:
    """Ask, replace the lab's token in the cloud's secret manager, and roll it out."""
    session = informed(session, anyway=True)
    check(session, offline=False)
    consent.allow(session, consent.ROTATION)
    if not session.dry:
        state.renew_token(session.project, session.stack)
    # A machine that has not made the old token takes the first one that it has for that: the version says otherwise.
    version = session.settings.terraform.secret_versions.get(TOKEN, 0) + 1
    rotated = replace(session, overrides=[*session.overrides, f"terraform.secret_versions.{TOKEN}={version}"])
    with consent.rotating(session):
        apply(rotated, replan=True)


def destroy(session: Session, *, offline: bool = False, data: bool, emptied: bool = False) -> None:
    """Show what goes, ask, and destroy it; returns early where there is nothing.

    `emptied` says that the stack's cluster has removed what it made.
    """
    refuse_protected(session)
    check(session, offline=offline)
    with planning(session, offline=offline) as work:
        # With data the plan is made, and applied, where their latches are lifted.
        work, planned = terraform.plan_destruction(work, data=data)  # noqa: PLW2901
        show(work, planned)
        if planned.empty and not session.dry:
            if not (offline or records.managed(work.tool.state())):
                state.forget(session.project, session.stack)
            return console.say(f"{session.stack}: there is nothing to destroy")
        if not emptied:
            terraform.warn_of_cluster(work, data=data)
        what = f"{len(planned.changes)} resources" + (", all notebooks and models among them" if data else "")
        consent.allow(session, planned.sentence, loses=what)
        if terraform.unprotect(work, planned):
            work, _ = terraform.plan_destruction(work, data=data)  # noqa: PLW2901 - the state is another one now
        terraform.apply(work)
        if not (offline or session.dry):
            state.forget(session.project, session.stack)
            note_record(work)  # of the data that stays
    return None


def creation(session: Session) -> Step:
    """Return the step that creates what a stack needs in its cloud."""
    return Step("terraform", "make what the stack needs in its cloud", lambda: apply(session, replan=True))


def destruction(session: Session, *, data: bool) -> Step:
    """Return the step that destroys what a stack has in its cloud. Raises UsageError where that is not allowed."""
    refuse_protected(session)  # while the lab is still there
    clouds.terraform_of(session.settings).check_account(session.settings, dry=session.dry)
    return Step(
        "terraform",
        "destroy what the stack has in its cloud",
        lambda: destroy(session, data=data, emptied=True),
    )


def changes(session: Session) -> list[Change]:
    """Return what Terraform would change."""
    with terraform.work(session.project, session.settings, dry=session.dry) as work:
        planned = terraform.plan(work)
        if planned.empty:
            terraform.forget_plan(work)
        return overview.of_terraform(planned)


def note_record(work: Work) -> None:
    """Note what the state records after this machine has changed it."""
    record = records.of_state(work.tool.state(), work.settings)
    records.note(work.project, work.settings, records.owned(work.settings, record))


def informed(session: Session, *, anyway: bool = False) -> Session:
    """The session, knowing what the state tells of its stack, also where it was made on another machine.

    It is asked where something is missing here, or `anyway`: what is to be planned has to know every secret that
    there is, and another machine may have added one since. Raises UsageError where a task would change a stack that
    may be another project's.
    """
    told = session.settings.terraform.deployed
    known = told.name and told.project and not any(key in NEEDED for key in session.configuration.missed)
    if session.dry or (known and not anyway) or not session.settings.compute.uses_terraform:
        return session
    session = session.reloaded()  # a step before may have taken it over
    found, record, owner = terraform.state_of(session.project, session.settings)
    owned = _becomes_owned(session, owner)
    record = records.owned(session.settings, record) if owned else replace(record, project="")
    records.note(session.project, session.settings, record)
    outputs.note(session.project, session.settings, records.outputs(found), planning=True)
    return session.reloaded()


def has_cluster(session: Session) -> bool:
    """Whether there is a cluster in the stack's state; its outputs outlive it where a destruction breaks off."""
    with working(session, offline=False, looking=True) as work:
        terraform.prepare(work)
        return terraform.has_cluster(work.tool.state())


def working(session: Session, *, offline: bool, looking: bool = False) -> AbstractContextManager[Work]:
    """Return Terraform at work on a stack, to look at what is there; `looking` leaves its files as they are."""
    session = session if offline else informed(session)
    return terraform.work(session.project, session.settings, offline=offline, dry=session.dry, looking=looking)


def planning(
    session: Session, *, offline: bool, stopped: bool = False, identified: bool = False
) -> AbstractContextManager[Work]:
    """Terraform at work on what is deployed, as all machines know it; offline nothing is.

    What is to be deployed is `identified`: the project has an identity then, for the stack's record.
    """
    session = session if offline else informed(session, anyway=True)
    if identified and not (offline or session.dry):
        ownership.ensure_id(session.project, session.settings)
        session = session.reloaded()
    settings = terraform.without_image(session.settings) if stopped else session.settings
    return terraform.work(session.project, settings, offline=offline, dry=session.dry)


def check(session: Session, *, offline: bool) -> None:
    """Before something changes: the configuration is decided, and the credentials are the stack's. Offline all is."""
    if not (offline or session.dry):
        settings = session.configuration.to_deploy(before=CREATED_LATER)
        clouds.terraform_of(settings).check_account(settings)


def refuse_protected(session: Session) -> None:
    """Raise UsageError for a stack that nothing is destroyed of."""
    if session.settings.protected:
        where = session.configuration.origins(("protected",))[0].place
        raise UsageError(
            f"{session.stack} is protected ({where}) and can't be destroyed",
            hint="who means it, takes that away first",
            code="DEVAI-TF-011",
        )


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


def _becomes_owned(session: Session, owner: Owner) -> bool:
    """Go on only where the stack that Terraform's state tells of is this project's, or is taken over.

    Who only looks is told where that is unclear. Returns whether it is this project's from now on. Raises UsageError
    where it is not taken over.
    """
    if session.changes:
        consent.take_over(session, owner)
    elif owner.claim is Claim.UNCLEAR:
        console.warn(f"{owner.sentence}; a task that changes it asks whether to take it over")
    return session.changes or owner.claim is Claim.OWN

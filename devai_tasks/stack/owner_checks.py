"""Checks of a stack's owner before a task changes the stack, enters it, or hands out what is in it."""

from __future__ import annotations

from collections.abc import Callable

from devai_tasks.stack import consent, terraform_step
from devai_tasks.stack.session import Session
from devai_tasks.system.errors import MissingToolError, ToolError, UsageError
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.kubernetes import ownership as cluster_ownership
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.workspace import ownership
from devai_tasks.workspace.ownership import Claim, Owner


def check_folder(session: Session, target: str) -> None:
    """Go on only where the stack on this machine is this folder's, or is taken over, and mark it so.

    `target` is what a task is about, empty for the whole stack. Raises UsageError otherwise. In a cluster it is
    `check_cluster`, and in a cloud Terraform's state, which tell, once they can be asked.
    """
    settings = session.settings
    if session.dry or not settings.compute.uses_compose or target not in ("", "compose", "image"):
        return
    try:
        session.docker.check()
        owner = folder_ownership.of_folder(session.project, settings)
    except (MissingToolError, ToolError):
        return  # the task reaches nothing either, and says why
    _own(session, owner, lambda: folder_ownership.mark_folder(session.project, settings))


def refuse_foreign(session: Session, target: str) -> Session:
    """Go on only where the stack is not another's; returns the session with what had to be known of it for that.

    `target` is what a task is about, empty for the whole stack. Raises UsageError otherwise. Of a cloud's managed
    containers the names tell: each project has others.
    """
    if session.dry:
        return session
    compute = session.settings.compute
    if target == "kubernetes" or (not target and not compute.uses_compose and compute.uses_kubernetes):
        session = session if target else terraform_step.informed(session)
        kubectl = Cluster(session.project, session.settings).kubectl
        if not kubectl.knows_context():
            return session  # the task reaches nothing either, and says why
        owner = cluster_ownership.of_namespace(kubectl, session.settings)
    elif compute.uses_compose:
        try:
            session.docker.check()
            owner = folder_ownership.of_folder(session.project, session.settings)
        except (MissingToolError, ToolError):
            return session  # as above
    else:
        return session
    owner.check()
    if owner.claim is Claim.UNCLEAR and owner.marked:
        hint = f"`inv up {session.stack.flags}` asks, and replaces them"
        raise UsageError(f"{owner.sentence}; nothing was changed", hint=hint, code="DEVAI-STACK-005")
    return session


def check_cluster(session: Session, cluster: Cluster, *, claim: bool = False) -> None:
    """Go on only where the stack in its cluster is this project's, or is taken over, and mark it so.

    With `claim` the project has an identity afterwards, for a stack that is about to be made. Raises UsageError
    otherwise.
    """
    if session.dry:
        return
    project, settings, kubectl = session.project, cluster.settings, cluster.kubectl
    owner = cluster_ownership.of_namespace(kubectl, settings)
    _own(session, owner, lambda: cluster_ownership.mark_namespace(kubectl, ownership.ensure_id(project, settings)))
    if claim and owner.claim is Claim.FREE:
        ownership.ensure_id(project, settings)


def _own(session: Session, owner: Owner, mark: Callable[[], None]) -> None:
    """Refuse what is foreign, ask before what is unclear is taken over, and mark what is not marked yet."""
    owner.check()
    consent.take_over(session, owner)
    if owner.claim in (Claim.OWN, Claim.UNCLEAR) and not owner.marked:
        mark()

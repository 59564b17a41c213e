"""Checks of a stack's owner before a task changes the stack, enters it, or prints its data."""

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
    """Check that the stack on this machine belongs to this folder, or is taken over, and mark the stack.

    The owner in a cluster is checked by `check_cluster`, and the owner in a cloud by Terraform's state, as soon as they
    can be contacted.

    Args:
        session: the run of the task.
        target: the target of the task; empty for the whole stack.

    Raises:
        UsageError: the stack belongs to another folder, and is not taken over.
    """
    settings = session.settings
    if session.dry or not settings.compute.uses_compose or target not in ("", "compose", "image"):
        return
    try:
        session.docker.check()
        owner = folder_ownership.of_folder(session.project, settings)
    except (MissingToolError, ToolError):
        return  # the task fails for the same reason, and reports it
    _claim(session, owner, lambda: folder_ownership.mark_folder(session.project, settings))


def refuse_foreign(session: Session, target: str) -> Session:
    """Check that the stack does not belong to another owner, and return the session that the check has updated.

    Managed containers of a cloud need no check: their names differ between projects.

    Args:
        session: the run of the task.
        target: the target of the task; empty for the whole stack.

    Raises:
        UsageError: the stack belongs to another folder or project.
    """
    if session.dry:
        return session
    compute = session.settings.compute
    if target == "kubernetes" or (not target and not compute.uses_compose and compute.uses_kubernetes):
        session = session if target else terraform_step.with_state(session)
        kubectl = session.cluster.kubectl
        if not kubectl.knows_context():
            return session  # the task fails for the same reason, and reports it
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
        hint = f"`inv up {session.stack.flags}` asks before it replaces these containers"
        raise UsageError(f"{owner.sentence}; nothing was changed", hint=hint, code="DEVAI-STACK-005")
    return session


def check_cluster(session: Session, cluster: Cluster, *, claim: bool = False) -> None:
    """Check that the stack in its cluster belongs to this project, or is taken over, and mark the stack.

    With `claim`, the project gets an identity if it has none, for a stack that is about to be created. Raises
    UsageError if the stack belongs to another project, and is not taken over.
    """
    if session.dry:
        return
    project, settings, kubectl = session.project, cluster.settings, cluster.kubectl
    owner = cluster_ownership.of_namespace(kubectl, settings)
    _claim(session, owner, lambda: cluster_ownership.mark_namespace(kubectl, ownership.ensure_id(project, settings)))
    if claim and owner.claim is Claim.FREE:
        ownership.ensure_id(project, settings)


def _claim(session: Session, owner: Owner, mark: Callable[[], None]) -> None:
    """Refuse a foreign stack, ask before an unclear one is taken over, and mark the stack where it has no mark."""
    owner.check()
    consent.take_over(session, owner)
    if owner.claim in (Claim.OWN, Claim.UNCLEAR) and not owner.marked:
        mark()

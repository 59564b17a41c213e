"""What stands before a task: whose the stack is; one that changes it runs alone, is written down, and asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from devai_tasks.system import console
from devai_tasks.system.errors import MissingToolError, ToolError, UsageError

if TYPE_CHECKING:
    from devai_tasks.cli.decorators import Request
    from devai_tasks.targets.kubernetes.deployment import Cluster
    from devai_tasks.workspace.ownership import Owner

# What replacing the lab's token does.
ROTATION = "its token is replaced, and every session and kernel ends"


@contextmanager
def run(request: Request, *, recorded: bool) -> Iterator[None]:
    """The time in which a task has its stack for itself, and is written down. Under `--dry` it changes nothing."""
    if request.dry:
        yield
        return
    from devai_tasks.workspace import runs

    own = runs.begin(request.task, [*_chosen(request), *request.given])
    record = runs.recorded(request.project, request.stack, own) if recorded else nullcontext()
    with runs.alone(request.project, request.stack, own), record:
        yield


def check_owner(request: Request, target: str) -> None:
    """Go on only where the stack on this machine is this folder's, or is taken over, and mark it so.

    `target` is what a task is about, empty for the whole stack. Raises UsageError otherwise. In a cluster it is
    `check_cluster`, and in a cloud Terraform's state, which tell, once they can be asked.
    """
    from devai_tasks.targets.compose import ownership as folder_ownership

    settings = request.settings
    if request.dry or settings.compute.provider != "local" or target not in ("", "compose", "image"):
        return
    try:
        request.docker.check()
        owner = folder_ownership.of_folder(request.project, settings)
    except (MissingToolError, ToolError):
        return  # the task reaches nothing either, and says why
    _own(request, owner, lambda: folder_ownership.mark_folder(request.project, settings))


def refuse_foreign(request: Request, target: str) -> Request:
    """Go on only where the stack is not another's; returns the request with what had to be known of it for that.

    `target` is what a task is about, empty for the whole stack. Raises UsageError otherwise. Of a cloud's managed
    containers the names tell: each project has others.
    """
    from devai_tasks.cli.collections import terraform
    from devai_tasks.targets.compose import ownership as folder_ownership
    from devai_tasks.targets.kubernetes import ownership as cluster_ownership
    from devai_tasks.targets.kubernetes.deployment import Cluster
    from devai_tasks.workspace.ownership import Claim

    if request.dry:
        return request
    compute = request.settings.compute
    if target == "kubernetes" or (not target and compute.provider != "local" and compute.platform == "kubernetes"):
        request = request if target else terraform.informed(request)
        kubectl = Cluster(request.project, request.settings).kubectl
        if not kubectl.knows_context():
            return request  # the task reaches nothing either, and says why
        owner = cluster_ownership.of_namespace(kubectl, request.settings)
    elif compute.provider == "local":
        try:
            request.docker.check()
            owner = folder_ownership.of_folder(request.project, request.settings)
        except (MissingToolError, ToolError):
            return request  # as above
    else:
        return request
    owner.check()
    if owner.claim is Claim.UNCLEAR and owner.marked:
        hint = f"`inv up {request.stack.flags}` asks, and replaces them"
        raise UsageError(f"{owner.sentence}; nothing was changed", hint=hint, code="DEVAI-STACK-005")
    return request


def check_cluster(request: Request, cluster: Cluster, *, claim: bool = False) -> None:
    """Go on only where the stack in its cluster is this project's, or is taken over, and mark it so.

    With `claim` the project has an identity afterwards, for a stack that is about to be made. Raises UsageError
    otherwise.
    """
    from devai_tasks.targets.kubernetes import ownership as cluster_ownership
    from devai_tasks.workspace import ownership

    if request.dry:
        return
    project, settings, kubectl = request.project, cluster.settings, cluster.kubectl
    owner = cluster_ownership.of_namespace(kubectl, settings)
    _own(request, owner, lambda: cluster_ownership.mark_namespace(kubectl, ownership.ensure_id(project, settings)))
    if claim and owner.claim is ownership.Claim.FREE:
        ownership.ensure_id(project, settings)


def _own(request: Request, owner: Owner, mark: Callable[[], None]) -> None:
    """Refuse what is foreign, ask before what is unclear is taken over, and mark what is not marked yet."""
    from devai_tasks.workspace.ownership import Claim

    owner.check()
    _take_over(request, owner)
    if owner.claim in (Claim.OWN, Claim.UNCLEAR) and not owner.marked:
        mark()


def check_state(request: Request, owner: Owner) -> bool:
    """Go on only where the stack that Terraform's state tells of is this project's, or is taken over.

    Who only looks is told where that is unclear. Returns whether it is this project's from now on. Raises UsageError
    where it is not taken over.
    """
    from devai_tasks.workspace.ownership import Claim

    if request.changes:
        _take_over(request, owner)
    elif owner.claim is Claim.UNCLEAR:
        console.warn(f"{owner.sentence}; a task that changes it asks whether to take it over")
    return request.changes or owner.claim is Claim.OWN


def _take_over(request: Request, owner: Owner) -> None:
    """Ask before what is unclear is taken over."""
    from devai_tasks.workspace.ownership import Claim

    if owner.claim is Claim.UNCLEAR and not request.take_over:
        console.warn(owner.sentence)
        message, hint = "no terminal to ask at; nothing was changed", "`--take-over` takes it over"
        _agreed("take it over?", UsageError(message, hint=hint, code="DEVAI-STACK-006"))


def allow(request: Request, effect: str, *, loses: str = "") -> None:
    """Go on only where the person wants it: after a y, or with `--yes`.

    Where something is lost for good (`loses` names it), and for a protected stack, it takes the names of project and
    stack, typed or as `--confirm=`. Raises UsageError otherwise.
    """
    if request.dry:
        return
    from devai_tasks.config import naming

    stack, name = request.stack, naming.stack(request.settings)
    if not (loses or request.settings.protected):
        if not request.yes:
            _agreed(f"{stack}: {effect}; go on?", _unanswered("--yes"))
        return
    console.warn(f"{stack}: {effect}" + (f"; this removes {loses}, for good" if loses else f"; {stack} is protected"))
    answer = request.confirm or console.ask(f"type {name} to go on:")
    if answer is None:
        raise _unanswered(f"--confirm={name}")
    if answer != name:
        raise UsageError(f"{answer!r} is not {name}; nothing was changed")


def _unanswered(flag: str) -> UsageError:
    """Return the error for a question without a terminal; `flag` answers it."""
    return UsageError("nobody to ask; nothing was changed", hint=f"without a terminal: {flag}", code="DEVAI-STACK-004")


def _agreed(question: str, without_terminal: UsageError) -> None:
    """Go on only where the user agrees. Raises UsageError otherwise: `without_terminal` where there is no terminal."""
    agreed = console.agrees(question)
    if not agreed:
        raise without_terminal if agreed is None else UsageError("nothing was changed")


@contextmanager
def rotating(request: Request) -> Iterator[None]:
    """While what runs gets a new token: have an error say that the old one may still be good."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the old token may still open the lab; `{request.again}`, once more, ends it")
        raise


def _chosen(request: Request) -> Sequence[str]:
    """What chooses and changes the stack. Overrides by their keys only: a value may be a secret."""
    gpu = ["--gpu"] if request.gpu else []
    return [f"--set={override.partition('=')[0]}" for override in request.overrides] + gpu

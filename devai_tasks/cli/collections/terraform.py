"""Terraform: what a stack is made of in its cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import Request, plain_task, stack_task
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.workspace import state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from devai_tasks.targets.terraform.deployment import Work
    from devai_tasks.targets.terraform.saved_plan import Plan

_OFFLINE = {"offline": "with recorded schemas, made-up values and a state of its own; no credentials (default: no)"}
_RESOURCE = {
    "resource": "address of a resource or module: only that, and what it needs (default: all); can be repeated"
}
_JSON = {"json": "for programs (default: a table)"}
# What exists only after Terraform has run is not missed before.
_MADE_BY_IT = ("tf.apply", "image.push", "image.push --gpu")
# What has to be known of a stack before anything of it can run.
NEEDED = (("kubernetes", "context"), ("image", "registry"), ("image", "digest"), ("image", "gpu", "digest"))


@stack_task(target="terraform", alone=True, help=_OFFLINE)
def init(c: Context, request: Request, offline: bool = False) -> None:
    """Bring modules and providers, and set the backend to the stack's own."""
    from devai_tasks.targets.terraform import deployment as terraform

    with _work(request, offline=offline, looking=True) as work:
        terraform.init(work)


@stack_task(target="terraform", help=_OFFLINE)
def validate(c: Context, request: Request, offline: bool = False) -> None:
    """Check the stack's configuration of Terraform, without looking at a state."""
    from devai_tasks.targets.terraform import deployment as terraform

    terraform.validate(request.project, request.settings, offline=offline, dry=request.dry)
    if not request.dry:
        console.say(f"{request.stack}: valid")


@stack_task(
    target="terraform",
    alone=True,
    help={
        **_OFFLINE,
        **_RESOURCE,
        **_JSON,
        "destroy": "what destroying everything would do, with its data (default: no)",
        "markdown": "for a pull request (default: a table)",
        "detailed_exitcode": "exit with 2 where something changes, as Terraform's own flag (default: no)",
    },
    iterable=["resource"],
)
def plan(
    c: Context,
    request: Request,
    resource: list[str],
    offline: bool = False,
    destroy: bool = False,
    json: bool = False,
    markdown: bool = False,
    detailed_exitcode: bool = False,
) -> None:
    """Show what applying would create, change, replace and destroy; the plan is saved for tf.apply."""
    from devai_tasks.targets.terraform import deployment as terraform

    if destroy:
        refuse_protected(request)
    with _planning(request, offline=offline) as work:
        planned = (
            terraform.plan_destruction(work, data=True)[1] if destroy else terraform.plan(work, resources=resource)
        )
        _show(work, planned, json=json, markdown=markdown)
        if destroy:
            terraform.warn_of_cluster(work, data=True)
    if detailed_exitcode and not planned.empty:
        raise Exit(code=2)


@stack_task(target="terraform", changes=True, asks=True, help={**_OFFLINE, **_RESOURCE}, iterable=["resource"])
def apply(c: Context, request: Request, resource: list[str], offline: bool = False) -> None:
    """Do what the saved plan says; without one plan, show and ask."""
    made = roll_out(request, offline=offline, resources=resource)
    _next_steps(request.anew(), made.get("url"))


def roll_out(
    request: Request,
    *,
    offline: bool = False,
    resources: Sequence[str] = (),
    anew: bool = False,
    stopped: bool = False,
) -> Mapping[str, Any]:
    """Plan where no plan is saved, show, ask, and apply; returns the outputs, and notes what they tell of the stack.

    With `anew` a saved plan doesn't count. With `stopped` it is as if no image were pushed: everything is there, but
    what would run one.
    """
    from devai_tasks.cli import confirm
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import outputs

    _check(request, offline=offline)
    planning = bool(resources) or anew or stopped
    identified = planning or not terraform.has_saved_plan(request.project, request.settings)
    with _planning(request, offline=offline, stopped=stopped, identified=identified) as work:
        planned = None if planning else terraform.saved_plan(work)
        if planned is None:
            planned = terraform.plan(work, resources=resources)
        _show(work, planned)
        if not planned.empty:
            lost = ", ".join(planned.losses) if request.settings.protected else ""
            confirm.allow(
                request, planned.sentence, loses=f"what is destroyed or replaced here ({lost})" if lost else ""
            )
        if planned.empty and not request.dry:
            terraform.forget_plan(work)
            made = work.tool.outputs()
        else:
            made = terraform.apply(work)
        if not (offline or request.dry):
            _note(work)
            if not stopped:
                outputs.note(request.project, request.settings, made)
    return made


def rotate(request: Request) -> None:
    """Ask, replace the lab's token in the cloud's secret manager, and roll it out."""
    from devai_tasks.cli import confirm
    from devai_tasks.config.secrets import TOKEN

    request = informed(request, anyway=True)
    _check(request, offline=False)
    confirm.allow(request, confirm.ROTATION)
    if not request.dry:
        state.renew_token(request.project, request.stack)
    # A machine that has not made the old token takes the first one that it has for that: the version says otherwise.
    version = request.settings.terraform.secret_versions.get(TOKEN, 0) + 1
    planning = replace(request, overrides=[*request.overrides, f"terraform.secret_versions.{TOKEN}={version}"])
    with confirm.rotating(request):
        roll_out(planning, anew=True)


@stack_task(
    target="terraform",
    changes=True,
    asks=True,
    help={
        **_OFFLINE,
        "data": "the lab's home, too, and models outside a cluster (default: they stay, with what they need)",
    },
)
def destroy(c: Context, request: Request, offline: bool = False, data: bool = False) -> None:
    """Destroy what the stack has in its cloud; its data stays unless --data is given."""
    take_down(request, offline=offline, data=data)


def take_down(request: Request, *, offline: bool = False, data: bool, emptied: bool = False) -> None:
    """Show what goes, ask, and destroy it; returns early where there is nothing.

    `emptied` says that the stack's cluster has removed what it made.
    """
    from devai_tasks.cli import confirm
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import records

    refuse_protected(request)
    _check(request, offline=offline)
    with _planning(request, offline=offline) as work:
        # With data the plan is made, and applied, where their latches are lifted.
        work, planned = terraform.plan_destruction(work, data=data)  # noqa: PLW2901
        _show(work, planned)
        if planned.empty and not request.dry:
            if not (offline or records.managed(work.tool.state())):
                state.forget(request.project, request.stack)
            return console.say(f"{request.stack}: there is nothing to destroy")
        if not emptied:
            terraform.warn_of_cluster(work, data=data)
        what = f"{len(planned.changes)} resources" + (", all notebooks and models among them" if data else "")
        confirm.allow(request, planned.sentence, loses=what)
        if terraform.unprotect(work, planned):
            work, _ = terraform.plan_destruction(work, data=data)  # noqa: PLW2901 - the state is another one now
        terraform.apply(work)
        if not (offline or request.dry):
            state.forget(request.project, request.stack)
            _note(work)  # of the data that stays
    return None


def _note(work: Work) -> None:
    """Note what the state records after this machine has changed it."""
    from devai_tasks.targets.terraform import records

    record = records.of_state(work.tool.state(), work.settings)
    records.note(work.project, work.settings, records.owned(work.settings, record))


@stack_task(target="terraform", help={**_OFFLINE, **_JSON, "name": "one output, bare (default: all)"})
def output(c: Context, request: Request, offline: bool = False, json: bool = False, name: str = "") -> None:
    """Show the outputs of the stack's state, and note what they tell of the stack."""
    from devai_tasks.system.errors import unknown
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import outputs

    with _work(request, offline=offline, looking=True) as work:
        terraform.prepare(work)
        found = work.tool.outputs()
        if not (offline or request.dry):
            outputs.note(request.project, request.settings, found)
    if request.dry:
        return None
    if name and not found:
        flags = f"{request.stack.flags}{' --offline' if offline else ''}"
        raise DevaiError(f"{request.stack} has no outputs yet", hint=f"`inv tf.apply {flags}` makes them")
    if name and name not in found:
        raise UsageError(unknown("output", name, found))
    if json:
        return console.show_json(found[name] if name else found)
    if name:
        return console.show(outputs.text(found[name]))
    console.table(["output", "value"], [[key, outputs.text(value)] for key, value in found.items()])


def informed(request: Request, *, anyway: bool = False) -> Request:
    """The request, knowing what the state tells of its stack, also where it was made on another machine.

    It is asked where something is missing here, or `anyway`: what is to be planned has to know every secret that
    there is, and another machine may have added one since. Raises UsageError where a task would change a stack that
    may be another project's.
    """
    from devai_tasks.cli import confirm
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import outputs, records

    told = request.settings.terraform.deployed
    known = told.name and told.project and not any(key in NEEDED for key in request.configuration.missed)
    if request.dry or (known and not anyway) or not request.settings.compute.uses_terraform:
        return request
    request = request.anew()  # a step before may have taken it over
    found, record, owner = terraform.state_of(request.project, request.settings)
    if confirm.check_state(request, owner):
        record = records.owned(request.settings, record)
    else:
        record = replace(record, project="")
    records.note(request.project, request.settings, record)
    outputs.note(request.project, request.settings, records.outputs(found), planning=True)
    return request.anew()


def has_cluster(request: Request) -> bool:
    """Whether there is a cluster in the stack's state; its outputs outlive it where a destruction breaks off."""
    from devai_tasks.targets.terraform import deployment as terraform

    with _work(request, offline=False, looking=True) as work:
        terraform.prepare(work)
        return terraform.has_cluster(work.tool.state())


@stack_task(
    name="import",
    target="terraform",
    changes=True,
    asks=True,
    help={**_OFFLINE, "address": "address to be of what is there already", "id": "its id, as the provider wants it"},
)
def import_(c: Context, request: Request, address: str = "", id: str = "", offline: bool = False) -> None:
    """Take something that is there already into the stack's state."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.terraform import deployment as terraform

    if not (address and id):
        raise UsageError("--address or --id is missing", hint="`inv tf.import --address=ADDRESS --id=ID`")
    _check(request, offline=offline)
    with _planning(request, offline=offline, identified=True) as work:
        confirm.allow(request, f"{id} becomes its {address}")
        terraform.record(work)  # whose it is, the state says from the start
        if not (offline or request.dry):
            _note(work)
        work.tool.adopt(address, id, work.site.values)


@stack_task(target="terraform", help={**_OFFLINE, **_JSON})
def state_list(c: Context, request: Request, offline: bool = False, json: bool = False) -> None:
    """List the addresses of everything in the stack's state."""
    from devai_tasks.targets.terraform import deployment as terraform

    with _work(request, offline=offline, looking=True) as work:
        terraform.prepare(work)
        addresses = work.tool.addresses()
    if json:
        return console.show_json(addresses)
    console.show("\n".join(addresses))


@stack_task(
    target="terraform", changes=True, asks=True, help={**_OFFLINE, "lock_id": "the lock's id, as the refusal names it"}
)
def unlock(c: Context, request: Request, lock_id: str = "", offline: bool = False) -> None:
    """End a lock that a broken run has left on the stack's state."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.terraform import deployment as terraform

    if not lock_id:
        raise UsageError("--lock-id is missing", hint="`--lock-id=ID`, as the refusal names it")
    _check(request, offline=offline)
    confirm.allow(request, f"ending lock {lock_id}, which somebody may hold")
    with _work(request, offline=offline, looking=True) as work:
        terraform.prepare(work)
        work.tool.unlock(lock_id)


@stack_task(target="terraform", changes=True, asks=True)
def bootstrap(c: Context, request: Request) -> None:
    """Make the store for Terraform's state in the stack's account and region, where it lacks."""
    from devai_tasks import clouds
    from devai_tasks.cli import confirm

    settings = request.configuration.to_deploy(before=_MADE_BY_IT)
    cloud = clouds.terraform_of(settings)
    cloud.check_account(settings, dry=request.dry)
    store = cloud.store_name(settings)
    confirm.allow(request, f"{store} is made where it lacks")
    made = cloud.bootstrap(settings, dry=request.dry)
    console.say(f"{store}: {'made' if made else 'is there already'}")


@plain_task(help={"check": "only say which files are not in the usual form (default: write them)"})
def fmt(c: Context, check: bool = False) -> None:
    """Put the files of deploy/terraform into the usual form."""
    from devai_tasks.config.project import Project
    from devai_tasks.targets.terraform.client import Terraform

    folder = Project.find().root / "deploy/terraform"
    tool = Terraform(folder, folder / ".terraform", dry=bool(c.config.run.dry))
    found = tool.format(folder, check=check)
    console.show("\n".join(found))
    if found and check:
        raise Exit(code=1)


@plain_task(help={"provider": "aws, azurerm, google or tls (default: all); can be repeated"}, iterable=["provider"])
def record(c: Context, provider: list[str]) -> None:
    """Record the schemas that --offline works with anew, for the resource types in deploy/terraform."""
    from devai_tasks.config.project import Project
    from devai_tasks.offline.recording import FOLDER
    from devai_tasks.targets.terraform import provider_snapshots

    for name in provider or (*provider_snapshots.PACKAGES, *provider_snapshots.MODULES):
        if c.config.run.dry:
            console.say(f"record {name} in {FOLDER}")
        else:
            console.say(str(provider_snapshots.record(Project.find(), name, FOLDER)))


def _work(request: Request, *, offline: bool, looking: bool = False) -> AbstractContextManager[Work]:
    from devai_tasks.targets.terraform import deployment as terraform

    request = request if offline else informed(request)
    return terraform.work(request.project, request.settings, offline=offline, dry=request.dry, looking=looking)


def _planning(
    request: Request, *, offline: bool, stopped: bool = False, identified: bool = False
) -> AbstractContextManager[Work]:
    """Terraform at work on what is deployed, as all machines know it; offline nothing is.

    What is to be deployed is `identified`: the project has an identity then, for the stack's record.
    """
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.workspace import ownership

    request = request if offline else informed(request, anyway=True)
    if identified and not (offline or request.dry):
        ownership.ensure_id(request.project, request.settings)
        request = request.anew()
    settings = terraform.without_image(request.settings) if stopped else request.settings
    return terraform.work(request.project, settings, offline=offline, dry=request.dry)


def _check(request: Request, *, offline: bool) -> None:
    """Before something changes: the configuration is decided, and the credentials are the stack's. Offline all is."""
    from devai_tasks import clouds

    if not (offline or request.dry):
        settings = request.configuration.to_deploy(before=_MADE_BY_IT)
        clouds.terraform_of(settings).check_account(settings)


def refuse_protected(request: Request) -> None:
    """Raise UsageError for a stack that nothing is destroyed of."""
    if request.settings.protected:
        where = request.configuration.origins(("protected",))[0].place
        raise UsageError(
            f"{request.stack} is protected ({where}) and can't be destroyed",
            hint="who means it, takes that away first",
            code="DEVAI-TF-011",
        )


def _show(work: Work, planned: Plan, *, json: bool = False, markdown: bool = False) -> None:
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


def _next_steps(request: Request, url: str | None) -> None:
    """What there is to do after an apply: push an image where the stack has none, else look at it."""
    if request.dry:
        return
    flags = request.stack.flags
    if any(key[0] == "image" for key in request.configuration.missed):
        console.say(f"no image is pushed yet, so nothing runs one: inv image.push {flags}, then inv tf.apply {flags}")
    elif url:
        console.show(url)

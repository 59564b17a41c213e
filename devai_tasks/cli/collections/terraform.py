"""Terraform: what a stack is made of in its cloud."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import plain_task, stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError

_OFFLINE = {"offline": "with recorded schemas, made-up values and a state of its own; no credentials (default: no)"}
_RESOURCE = {
    "resource": "address of a resource or module: only that, and what it needs (default: all); can be repeated"
}
_JSON = {"json": "for programs (default: a table)"}


@stack_task(target="terraform", alone=True, help=_OFFLINE)
def init(c: Context, session: Session, offline: bool = False) -> None:
    """Bring modules and providers, and set the backend to the stack's own."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.init(work)


@stack_task(target="terraform", help=_OFFLINE)
def validate(c: Context, session: Session, offline: bool = False) -> None:
    """Check the stack's configuration of Terraform, without looking at a state."""
    from devai_tasks.targets.terraform import deployment as terraform

    terraform.validate(session.project, session.settings, offline=offline, dry=session.dry)
    if not session.dry:
        console.say(f"{session.stack}: valid")


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
    session: Session,
    resource: list[str],
    offline: bool = False,
    destroy: bool = False,
    json: bool = False,
    markdown: bool = False,
    detailed_exitcode: bool = False,
) -> None:
    """Show what applying would create, change, replace and destroy; the plan is saved for tf.apply."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    if destroy:
        terraform_step.refuse_protected(session)
    with terraform_step.planning(session, offline=offline) as work:
        planned = (
            terraform.plan_destruction(work, data=True)[1] if destroy else terraform.plan(work, resources=resource)
        )
        terraform_step.show(work, planned, json=json, markdown=markdown)
        if destroy:
            terraform.warn_of_cluster(work, data=True)
    if detailed_exitcode and not planned.empty:
        raise Exit(code=2)


@stack_task(target="terraform", changes=True, asks=True, help={**_OFFLINE, **_RESOURCE}, iterable=["resource"])
def apply(c: Context, session: Session, resource: list[str], offline: bool = False) -> None:
    """Do what the saved plan says; without one plan, show and ask."""
    from devai_tasks.stack import terraform_step

    made = terraform_step.apply(session, offline=offline, resources=resource)
    _next_steps(session.reloaded(), made.get("url"))


@stack_task(
    target="terraform",
    changes=True,
    asks=True,
    help={
        **_OFFLINE,
        "data": "the lab's home, too, and models outside a cluster (default: they stay, with what they need)",
    },
)
def destroy(c: Context, session: Session, offline: bool = False, data: bool = False) -> None:
    """Destroy what the stack has in its cloud; its data stays unless --data is given."""
    from devai_tasks.stack import terraform_step

    terraform_step.destroy(session, offline=offline, data=data)


@stack_task(target="terraform", help={**_OFFLINE, **_JSON, "name": "one output, bare (default: all)"})
def output(c: Context, session: Session, offline: bool = False, json: bool = False, name: str = "") -> None:
    """Show the outputs of the stack's state, and note what they tell of the stack."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.system.errors import unknown
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import outputs

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        found = work.tool.outputs()
        if not (offline or session.dry):
            outputs.note(session.project, session.settings, found)
    if session.dry:
        return None
    if name and not found:
        flags = f"{session.stack.flags}{' --offline' if offline else ''}"
        raise DevaiError(f"{session.stack} has no outputs yet", hint=f"`inv tf.apply {flags}` makes them")
    if name and name not in found:
        raise UsageError(unknown("output", name, found))
    if json:
        return console.show_json(found[name] if name else found)
    if name:
        return console.show(outputs.text(found[name]))
    console.table(["output", "value"], [[key, outputs.text(value)] for key, value in found.items()])


@stack_task(
    name="import",
    target="terraform",
    changes=True,
    asks=True,
    help={**_OFFLINE, "address": "address to be of what is there already", "id": "its id, as the provider wants it"},
)
def import_(c: Context, session: Session, address: str = "", id: str = "", offline: bool = False) -> None:
    """Take something that is there already into the stack's state."""
    from devai_tasks.stack import consent, terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    if not (address and id):
        raise UsageError("--address or --id is missing", hint="`inv tf.import --address=ADDRESS --id=ID`")
    terraform_step.check(session, offline=offline)
    with terraform_step.planning(session, offline=offline, identified=True) as work:
        consent.allow(session, f"{id} becomes its {address}")
        terraform.record(work)  # whose it is, the state says from the start
        if not (offline or session.dry):
            terraform_step.note_record(work)
        work.tool.adopt(address, id, work.site.values)


@stack_task(target="terraform", help={**_OFFLINE, **_JSON})
def state_list(c: Context, session: Session, offline: bool = False, json: bool = False) -> None:
    """List the addresses of everything in the stack's state."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        addresses = work.tool.addresses()
    if json:
        return console.show_json(addresses)
    console.show("\n".join(addresses))


@stack_task(
    target="terraform", changes=True, asks=True, help={**_OFFLINE, "lock_id": "the lock's id, as the refusal names it"}
)
def unlock(c: Context, session: Session, lock_id: str = "", offline: bool = False) -> None:
    """End a lock that a broken run has left on the stack's state."""
    from devai_tasks.stack import consent, terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    if not lock_id:
        raise UsageError("--lock-id is missing", hint="`--lock-id=ID`, as the refusal names it")
    terraform_step.check(session, offline=offline)
    consent.allow(session, f"ending lock {lock_id}, which somebody may hold")
    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        work.tool.unlock(lock_id)


@stack_task(target="terraform", changes=True, asks=True)
def bootstrap(c: Context, session: Session) -> None:
    """Make the store for Terraform's state in the stack's account and region, where it lacks."""
    from devai_tasks import clouds
    from devai_tasks.stack import consent, terraform_step

    settings = session.configuration.to_deploy(before=terraform_step.CREATED_LATER)
    cloud = clouds.terraform_of(settings)
    cloud.check_account(settings, dry=session.dry)
    store = cloud.store_name(settings)
    consent.allow(session, f"{store} is made where it lacks")
    made = cloud.bootstrap(settings, dry=session.dry)
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
    """Record the schemas that --offline works with again, for the resource types in deploy/terraform."""
    from devai_tasks.config.project import Project
    from devai_tasks.offline.recording import FOLDER
    from devai_tasks.targets.terraform import provider_snapshots

    for name in provider or (*provider_snapshots.PACKAGES, *provider_snapshots.MODULES):
        if c.config.run.dry:
            console.say(f"record {name} in {FOLDER}")
        else:
            console.say(str(provider_snapshots.record(Project.find(), name, FOLDER)))


def _next_steps(session: Session, url: str | None) -> None:
    """What there is to do after an apply: push an image where the stack has none, else look at it."""
    if session.dry:
        return
    flags = session.stack.flags
    if any(key[0] == "image" for key in session.configuration.missed):
        console.say(f"no image is pushed yet, so nothing runs one: inv image.push {flags}, then inv tf.apply {flags}")
    elif url:
        console.show(url)

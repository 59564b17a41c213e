"""Terraform: plan, apply and destroy the cloud resources of a stack."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import plain_task, stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError

_OFFLINE = {
    "offline": "use provider schema snapshots, placeholder values and a local state, without credentials (default: no)"
}
_RESOURCE = {
    "resource": "address of a resource or module: plan only this and its dependencies (default: all); can be repeated"
}
_JSON = {"json": "print JSON (default: a table)"}


@stack_task(target="terraform", exclusive=True, help=_OFFLINE)
def init(c: Context, session: Session, offline: bool = False) -> None:
    """Download modules and providers, and configure the stack's backend."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.init(work)


@stack_task(target="terraform", help=_OFFLINE)
def validate(c: Context, session: Session, offline: bool = False) -> None:
    """Validate the stack's Terraform configuration, without reading the state."""
    from devai_tasks.targets.terraform import deployment as terraform

    terraform.validate(session.project, session.settings, offline=offline, dry=session.dry)
    if not session.dry:
        console.say(f"{session.stack}: valid")


@stack_task(
    target="terraform",
    exclusive=True,
    help={
        **_OFFLINE,
        **_RESOURCE,
        **_JSON,
        "destroy": "plan to destroy everything, with its data (default: no)",
        "markdown": "print Markdown for a pull request (default: a table)",
        "detailed_exitcode": "exit with 2 if anything would change, like Terraform's flag (default: no)",
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
    """Show what would be created, changed, replaced and destroyed, and save the plan for tf.apply."""
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
    if detailed_exitcode and not planned.is_empty:
        raise Exit(code=2)


@stack_task(target="terraform", changes=True, asks=True, help={**_OFFLINE, **_RESOURCE}, iterable=["resource"])
def apply(c: Context, session: Session, resource: list[str], offline: bool = False) -> None:
    """Apply the saved plan; without a saved plan, plan, show the changes, and ask."""
    from devai_tasks.stack import terraform_step

    values = terraform_step.apply(session, offline=offline, resources=resource)
    _next_steps(session.reloaded(), values.get("url"))


@stack_task(
    target="terraform",
    changes=True,
    asks=True,
    help={
        **_OFFLINE,
        "data": "also destroy the lab's home, and models outside a cluster (default: keep them and what they need)",
    },
)
def destroy(c: Context, session: Session, offline: bool = False, data: bool = False) -> None:
    """Destroy the stack's cloud resources; keep its data unless --data is given."""
    from devai_tasks.stack import terraform_step

    terraform_step.destroy(session, offline=offline, data=data)


@stack_task(
    target="terraform", help={**_OFFLINE, **_JSON, "name": "name of one output, to print its value only (default: all)"}
)
def output(c: Context, session: Session, offline: bool = False, json: bool = False, name: str = "") -> None:
    """Show the outputs of the stack's state, and record the values that the configuration needs."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.system.errors import unknown
    from devai_tasks.targets.terraform import deployment as terraform
    from devai_tasks.targets.terraform import outputs

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        values = work.tool.outputs()
        if not (offline or session.dry):
            outputs.note(session.project, session.settings, values)
    if session.dry:
        return None
    if name and not values:
        flags = f"{session.stack.flags}{' --offline' if offline else ''}"
        raise DevaiError(f"{session.stack} has no outputs yet", hint=f"`inv tf.apply {flags}` creates them")
    if name and name not in values:
        raise UsageError(unknown("output", name, values))
    if json:
        return console.show_json(values[name] if name else values)
    if name:
        return console.show(outputs.text(values[name]))
    console.table(["output", "value"], [[key, outputs.text(value)] for key, value in values.items()])


@stack_task(
    name="import",
    target="terraform",
    changes=True,
    asks=True,
    help={
        **_OFFLINE,
        "address": "address of the resource in the configuration",
        "id": "id of the existing resource, in the provider's format",
    },
)
def import_(c: Context, session: Session, address: str = "", id: str = "", offline: bool = False) -> None:
    """Import an existing resource into the stack's state."""
    from devai_tasks.stack import consent, terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    if not (address and id):
        raise UsageError("--address or --id is missing", hint="use `inv tf.import --address=ADDRESS --id=ID`")
    terraform_step.check(session, offline=offline)
    with terraform_step.planning(session, offline=offline, identified=True) as work:
        consent.allow(session, f"{id} is imported as {address}")
        terraform.record(work)  # so that the state names the owner from the start
        if not (offline or session.dry):
            terraform_step.note_record(work)
        work.tool.import_resource(address, id, work.workdir.values)


@stack_task(target="terraform", help={**_OFFLINE, **_JSON})
def state_list(c: Context, session: Session, offline: bool = False, json: bool = False) -> None:
    """List the addresses of all resources in the stack's state."""
    from devai_tasks.stack import terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        addresses = work.tool.addresses()
    if json:
        return console.show_json(addresses)
    console.show("\n".join(addresses))


@stack_task(
    target="terraform",
    changes=True,
    asks=True,
    help={**_OFFLINE, "lock_id": "id of the lock, from Terraform's error message"},
)
def unlock(c: Context, session: Session, lock_id: str = "", offline: bool = False) -> None:
    """Release a lock on the stack's state that an interrupted run has left."""
    from devai_tasks.stack import consent, terraform_step
    from devai_tasks.targets.terraform import deployment as terraform

    if not lock_id:
        raise UsageError("--lock-id is missing", hint="use `--lock-id=ID`, with the ID of Terraform's error message")
    terraform_step.check(session, offline=offline)
    consent.allow(session, f"lock {lock_id} is released, which another run may hold")
    with terraform_step.working(session, offline=offline, looking=True) as work:
        terraform.prepare(work)
        work.tool.unlock(lock_id)


@stack_task(target="terraform", changes=True, asks=True)
def bootstrap(c: Context, session: Session) -> None:
    """Create the store for Terraform's state in the stack's account and region if it is missing."""
    from devai_tasks import clouds
    from devai_tasks.stack import consent, terraform_step

    settings = session.configuration.to_deploy(before=terraform_step.CREATED_LATER)
    cloud = clouds.terraform_of(settings)
    cloud.check_account(settings, dry=session.dry)
    store = cloud.store_name(settings)
    consent.allow(session, f"{store} is created if it is missing")
    created = cloud.bootstrap(settings, dry=session.dry)
    console.say(f"{store}: {'created' if created else 'exists already'}")


@plain_task(help={"check": "only list files that are not formatted (default: format them)"})
def fmt(c: Context, check: bool = False) -> None:
    """Format the files of deploy/terraform."""
    from devai_tasks.config.project import Project
    from devai_tasks.targets.terraform.client import Terraform

    folder = Project.find().root / "deploy/terraform"
    tool = Terraform(folder, folder / ".terraform", dry=bool(c.config.run.dry))
    files = tool.format(folder, check=check)
    console.show("\n".join(files))
    if files and check:
        raise Exit(code=1)


@plain_task(help={"provider": "aws, azurerm, google or tls (default: all); can be repeated"}, iterable=["provider"])
def record(c: Context, provider: list[str]) -> None:
    """Update the provider schema snapshots for --offline, for the resource types in deploy/terraform."""
    from devai_tasks.config.project import Project
    from devai_tasks.offline.recording import FOLDER
    from devai_tasks.targets.terraform import provider_snapshots

    for name in provider or (*provider_snapshots.PACKAGES, *provider_snapshots.MODULES):
        if c.config.run.dry:
            console.say(f"record {name} in {FOLDER}")
        else:
            console.say(str(provider_snapshots.record(Project.find(), name, FOLDER)))


def _next_steps(session: Session, url: str | None) -> None:
    """Print the next step after an apply: push an image where the stack has none, else the lab's address."""
    if session.dry:
        return
    flags = session.stack.flags
    if any(key[0] == "image" for key in session.configuration.unresolved):
        console.say(f"no image is pushed yet; run `inv image.push {flags}`, then `inv tf.apply {flags}`")
    elif url:
        console.show(url)

"""Terraform for a stack: init, plan, apply and destroy, in the project's root module or offline in a copy."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devai_tasks import clouds
from devai_tasks.config import naming
from devai_tasks.config.fields import NO_DIGEST
from devai_tasks.config.layers import DEPLOYMENT_FILE
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.config.sections.cloud import Deployed
from devai_tasks.offline import behavior, recording, serving
from devai_tasks.offline.recording import Used
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.terraform import records, workdir
from devai_tasks.targets.terraform.client import Terraform
from devai_tasks.targets.terraform.saved_plan import Plan
from devai_tasks.targets.terraform.workdir import Workdir
from devai_tasks.workspace import secret_values, state
from devai_tasks.workspace.ownership import Owner

_CLUSTERS = ("aws_eks_cluster", "azurerm_kubernetes_cluster", "google_container_cluster")


@dataclass(frozen=True)
class TerraformProject:
    """A stack with its working directory and the program that runs there."""

    project: Project
    settings: Settings
    workdir: Workdir
    tool: Terraform
    note: str
    """Notice that results are based on provider schema snapshots; empty unless offline."""

    @property
    def dry(self) -> bool:
        """Whether commands are printed instead of run."""
        return self.tool.dry

    @property
    def offline(self) -> bool:
        """Whether provider schema snapshots replace the cloud."""
        return bool(self.note)


@contextmanager
def work(
    project: Project, settings: Settings, *, offline: bool = False, dry: bool = False, looking: bool = False
) -> Iterator[TerraformProject]:
    """Prepare the input files, the secrets and, offline, a fake provider, and yield the Terraform project of a stack.

    Args:
        project: the project.
        settings: those of the stack.
        offline: work on a copy, with a fake provider based on schema snapshots.
        dry: print commands instead of running them.
        looking: read only; without a plan, no secret is asked for or created.
    """
    secret_variables = {}
    if offline:
        settings = _as_offline(project, settings)
    if not (dry or looking):
        values = secret_values.for_a_cloud(project, settings)
        settings = with_versions(project, settings, values, offline=offline)
        secret_variables["TF_VAR_secret_values"] = json.dumps(values)
    if not dry:
        state.private_folder(project.state(settings.stack))
    if not offline:
        directory = workdir.of_project(project, settings)
        yield TerraformProject(
            project, settings, directory, _tool(directory, settings, {}, secret_variables, dry=dry), ""
        )
        return
    note = _note(project, settings)
    console.warn(note)
    directory = workdir.offline(project, settings, dry=dry)
    with nullcontext("") if dry else serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        environ = {"TF_REATTACH_PROVIDERS": addresses}
        yield TerraformProject(
            project, settings, directory, _tool(directory, settings, environ, secret_variables, dry=dry), note
        )


def _as_offline(project: Project, settings: Settings) -> Settings:
    """Return the settings with the values recorded in the offline copy's state, which is separate from the real one."""
    try:
        return records.known(settings, workdir.offline_state(project, settings))
    except UsageError as error:
        error.add_note(f"this concerns the offline copy: delete .devai/{settings.stack}/offline to start over")
        raise


def without_image(settings: Settings) -> Settings:
    """Return the settings of a stack that runs nothing, as before its first image was pushed."""
    none = dataclasses.replace(settings.image.gpu, digest=NO_DIGEST)
    return dataclasses.replace(settings, image=dataclasses.replace(settings.image, digest=NO_DIGEST, gpu=none))


def with_versions(project: Project, settings: Settings, values: Mapping[str, str], *, offline: bool) -> Settings:
    """Return the settings with the versions of the secrets that Terraform gets; a changed value has a new version.

    The versions are recorded for the stack, except offline, where nothing is deployed.
    """
    known = settings.terraform.secret_versions
    folder = project.state(settings.stack) / ("offline" if offline else "terraform")
    names = {TOKEN, *settings.secrets}
    versions = {
        name: version for name, version in state.secret_versions(folder, values, known).items() if name in names
    }
    if not offline and versions != dict(known):
        state.record(
            project, settings.stack, {f"terraform.secret_versions.{name}": str(n) for name, n in versions.items()}
        )
    return dataclasses.replace(settings, terraform=dataclasses.replace(settings.terraform, secret_versions=versions))


def prepare(work: TerraformProject) -> None:
    """Run `init` if sources or backend have changed, and check that the active backend is the stack's own."""
    stamp = work.workdir.home / "prepared"
    current = f"{work.workdir.sources}\n{json.dumps(work.workdir.expected)}\n"
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == current and not work.dry):
        init(work)
        if not work.dry:
            state.write(stamp, current)
    check_backend(work)


def init(work: TerraformProject) -> None:
    """Install modules and providers, and configure the backend."""
    work.tool.init(work.workdir.backend)
    check_backend(work)


def check_backend(work: TerraformProject) -> None:
    """Raise DevaiError if Terraform would write to a state that is not the stack's."""
    file = work.workdir.data / "terraform.tfstate"
    if work.dry:
        return
    if not file.exists():
        raise DevaiError(
            "no Terraform backend is configured, so the state would be written to a local file",
            hint="`inv tf.init` configures the backend",
        )
    if difference := _differing(file, work.workdir.expected):
        raise DevaiError(
            f"the state is not that of {work.settings.stack}: {difference}",
            hint="`inv tf.init` configures the backend",
            code="DEVAI-TF-001",
        )


def _differing(file: Path, expected: Mapping[str, object]) -> str:
    """Return a text with the settings of the active backend that differ from the expected ones; empty for none."""
    config = json.loads(file.read_text(encoding="utf-8"))["backend"]["config"]
    differing = [name for name, value in expected.items() if config.get(name) != value]
    return ", ".join(f"{name} is {config.get(name)!r}, not {expected[name]!r}" for name in differing)


def state_of(project: Project, settings: Settings) -> tuple[dict[str, Any], Deployed, Owner]:
    """Return the state of a stack, its record, and its owner; all are empty if nothing is deployed.

    The state is searched at three locations: the last one that this machine used, the stack's own, and the one of
    version 0.1.

    Raises:
        UsageError: the state belongs to another project, or the stack is deployed elsewhere than configured.
    """
    from_first_version = is_from_first_version(project, settings)
    last, current, first = naming.state(settings), naming.state(records.at(settings, "")), naming.first_state(settings)
    foreign = Deployed()
    for key in dict.fromkeys((last, current, first)):
        located = records.at(settings, key)
        with work(project, located, looking=True) as terraform:
            prepare(terraform)
            content = terraform.tool.state()
        record = records.of_state(content, located)
        # Several projects may have shared the location of version 0.1: only names tell their states apart.
        shared = key not in (last, current)
        if not records.matches_project(settings, record):
            foreign = foreign if shared else record
        elif record.name or (record.state and not shared):
            records.check(settings, record)
            return content, record, records.owner(settings, record, known=from_first_version and bool(record.name))
    records.check(settings, foreign)
    return {}, Deployed(), records.owner(settings, Deployed(), known=False)


def is_from_first_version(project: Project, settings: Settings) -> bool:
    """Return whether version 0.1 deployed the stack from this machine, and no newer version has read its state since.

    Raises:
        UsageError: the backend of version 0.1 differs from the configured one.
    """
    file = project.state(settings.stack) / "terraform/data/terraform.tfstate"
    recorded = state.recorded(project, settings.stack)
    if "registry" not in recorded.get("image", {}) or "deployed" in recorded.get("terraform", {}) or not file.exists():
        return False
    first = clouds.terraform_of(settings).backend(records.at(settings, naming.first_state(settings)))
    if difference := _differing(file, first):
        raise UsageError(
            f"{settings.stack} is deployed, and this configuration would create it a second time, because its state "
            f"would be at another location: {difference}; nothing was changed",
            hint="restore the values of project.name, terraform.account and terraform.region that it was deployed "
            f"with, or take it down with these values first: `inv down {settings.stack.flags} --set=KEY=VALUE`. If it "
            f"no longer exists, delete .devai/{settings.stack}/{DEPLOYMENT_FILE}",
            code="DEVAI-TF-004",
        )
    return True


def validate(project: Project, settings: Settings, *, offline: bool, dry: bool) -> None:
    """Validate the configuration of the root module, without a state."""
    with work(project, settings, offline=offline, dry=dry, looking=True) as prepared:
        directory = dataclasses.replace(prepared.workdir, home=prepared.workdir.home / "validate")
        tool = dataclasses.replace(prepared.tool, data=directory.data)
        tool.init(directory.backend, state=False)
        tool.validate()


def plan(work: TerraformProject, *, destroy: bool = False, resources: Sequence[str] = ()) -> Plan:
    """Save a plan, and beside it a file with the inputs that it depends on; return the planned changes.

    Raises:
        UsageError: the plan would write a secret that has no value on this machine.
    """
    prepare(work)
    delete_plan(work)
    if resources and not destroy:  # the record has to be in the state before any other part of the stack
        resources = [*dict.fromkeys([*resources, ".".join(records.RECORD)])]
    work.tool.plan(work.workdir.values, work.workdir.plan, destroy=destroy, resources=resources)
    if not work.dry:
        work.workdir.plan.chmod(0o600)
        inputs = {"fingerprint": work.workdir.fingerprint, "destroy": destroy, "resources": list(resources)}
        state.write(_plan_inputs(work.workdir), json.dumps(inputs))
    return _with_values(work, work.tool.show(work.workdir.plan))


def has_saved_plan(project: Project, settings: Settings) -> bool:
    """Whether a plan of the stack is saved; one of its offline copy does not count."""
    return (project.state(settings.stack) / "terraform/plan").exists()


def saved_plan(work: TerraformProject) -> Plan | None:
    """Return the saved plan; None without one.

    Raises:
        UsageError: the configuration has changed since, the plan destroys the stack, or it would write a secret that
            has no value on this machine.
    """
    if work.dry or not work.workdir.plan.exists():
        return None
    inputs = json.loads(_plan_inputs(work.workdir).read_text(encoding="utf-8"))
    if inputs["fingerprint"] != work.workdir.fingerprint:
        raise UsageError(
            "the configuration has changed since the plan was saved; nothing was changed",
            hint="`inv tf.plan` creates a new plan",
            code="DEVAI-TF-007",
        )
    if inputs["destroy"]:
        raise UsageError(
            "the saved plan destroys the stack",
            hint="`inv tf.destroy` applies such a plan; `inv tf.plan` creates another plan",
        )
    prepare(work)
    return _with_values(work, work.tool.show(work.workdir.plan))


def _with_values(work: TerraformProject, planned: Plan) -> Plan:
    """Return the plan if every secret that it writes has a value on this machine.

    An empty value would replace the one in the cloud.
    """
    values = json.loads(work.tool.secrets.get("TF_VAR_secret_values", "{}"))
    if unset := sorted(set(planned.secrets) - set(values)):
        raise UsageError(
            f"no value on this machine for {', '.join(unset)}, which would be empty in the cloud; nothing was changed",
            hint="set it, or remove it from `secrets` in the configuration; if the stack was destroyed from another "
            f"machine, delete .devai/{work.settings.stack}/{DEPLOYMENT_FILE}, which is out of date",
        )
    return planned


def delete_plan(work: TerraformProject) -> None:
    """Delete a saved plan, which can be applied only once."""
    if not work.dry:
        for file in (work.workdir.plan, _plan_inputs(work.workdir)):
            file.unlink(missing_ok=True)


def apply(work: TerraformProject) -> dict[str, Any]:
    """Apply the saved plan; return the outputs in the state after that."""
    try:
        work.tool.apply(work.workdir.plan)
    finally:
        delete_plan(work)  # a partly applied plan is stale as well
    return work.tool.outputs()


def record(work: TerraformProject) -> None:
    """Write the stack's record into its state, before any other resource."""
    if plan(work, resources=[".".join(records.RECORD)]).is_empty and not work.dry:
        return delete_plan(work)
    apply(work)
    return None


def plan_destruction(work: TerraformProject, *, data: bool) -> tuple[TerraformProject, Plan]:
    """Save a plan to destroy a stack; without `data`, storage with `prevent_destroy` and its dependencies are kept."""
    prepare(work)
    if data:
        work = _at(work, workdir.without_prevent_destroy(work.project, work.settings, work.workdir, dry=work.dry))
        return work, plan(work, destroy=True)
    addresses = without_protected(work.tool.state(), workdir.prevent_destroy_resources(work.workdir.root.parent))
    if work.dry:
        console.say("with -target= for each resource in the state that data with prevent_destroy does not depend on:")
    elif not addresses:
        return work, Plan((), ())
    return work, plan(work, destroy=True, resources=addresses)


def unprotect(work: TerraformProject, planned: Plan) -> bool:
    """Disable the deletion protection of resources that a plan destroys; return whether any had it.

    A stack that was protected before has resources with deletion protection in the cloud.
    """
    destroyed = {_plain(change.address) for change in planned.changes}
    addresses: list[str] = []
    changes: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in work.tool.state().get("resources", ()):
        arguments: dict[str, Any] = {}
        for instance in entry["instances"]:
            arguments |= behavior.letting_go(instance["attributes"])
        if arguments and _plain(_address(entry)) in destroyed:
            addresses.append(_address(entry))
            changes[entry["type"], entry["name"]] = arguments
    if not changes:
        return False
    console.say(f"disabling deletion protection of {', '.join(addresses)}")
    unprotected = _at(work, workdir.unprotected(work.project, work.settings, work.workdir, changes))
    plan(unprotected, resources=addresses)
    apply(unprotected)
    return True


def _at(work: TerraformProject, directory: Workdir) -> TerraformProject:
    """Return the same project in another working directory."""
    return dataclasses.replace(
        work, workdir=directory, tool=dataclasses.replace(work.tool, root=directory.root, data=directory.data)
    )


def has_cluster(state: Mapping[str, Any]) -> bool:
    """Whether a state contains a cluster."""
    return any(entry["type"] in _CLUSTERS for entry in state.get("resources", ()))


def warn_of_cluster(work: TerraformProject, *, data: bool) -> None:
    """Warn about cloud resources that a cluster in the stack's state has created and that outlive it.

    With `data`, the command in the warning removes the data as well.
    """
    if not work.dry and has_cluster(work.tool.state()):
        command = f"inv down {work.settings.stack.flags}{' --data' if data else ''}"
        console.warn(
            "the cluster's load balancer and disks are not managed by Terraform and remain: they still cost money and "
            f"block the destruction of the network. `{command}` removes them first"
        )


def without_protected(
    state: Mapping[str, Any], prevent_destroy_resources: Mapping[Path, Sequence[tuple[str, str]]]
) -> list[str]:
    """Return the addresses of a state's resources, without those with `prevent_destroy` and their dependencies."""
    protected = {resource for resources in prevent_destroy_resources.values() for resource in resources}
    resources = [entry for entry in state.get("resources", ()) if entry["mode"] == "managed"]
    # States list dependencies without the keys of module instances.
    dependencies: dict[str, set[str]] = defaultdict(set)
    for entry in resources:
        dependencies[_plain(_address(entry))] |= {
            name for instance in entry["instances"] for name in instance.get("dependencies", ())
        }
    kept = {_plain(_address(entry)) for entry in resources if (entry["type"], entry["name"]) in protected}
    if kept:  # the names in the record are needed to find the kept resources again
        kept.add(".".join(records.RECORD))
    queue = list(kept)
    while queue:
        new = dependencies[queue.pop()] - kept
        kept |= new
        queue += new
    return sorted({address for entry in resources if _plain(address := _address(entry)) not in kept})


def _address(entry: Mapping[str, Any]) -> str:
    """Return the address of all instances of a resource, in one instance of its module."""
    return ".".join([*filter(None, [entry.get("module")]), entry["type"], entry["name"]])


def _plain(address: str) -> str:
    return re.sub(r"\[[^]]*\]", "", address)


def _tool(
    directory: Workdir,
    settings: Settings,
    environ: Mapping[str, str],
    secret_variables: Mapping[str, str],
    *,
    dry: bool,
) -> Terraform:
    folder = os.environ.get("DEVAI_PROVIDER_DIR")
    mirror = Path(folder) if folder and not environ else None
    return Terraform(directory.root, directory.data, settings.terraform.program, environ, secret_variables, mirror, dry)


def _plan_inputs(directory: Workdir) -> Path:
    return directory.home / "plan.json"


def _note(project: Project, settings: Settings) -> str:
    """Return the notice for everything that is based on provider schema snapshots.

    Raises:
        UsageError: a provider has no snapshot.
    """
    snapshots = recording.shipped()
    if missing := Used.below(project.root / "deploy/terraform").missing(snapshots):
        raise UsageError(f"no provider schema snapshot of {', '.join(missing)}", hint="`inv tf.record` creates it")
    served = ", ".join(f"{snapshot.name} {snapshot.version}" for snapshot in snapshots)
    return (
        f"offline: {settings.stack} according to provider schema snapshots ({served}), with generated values and a "
        "separate state; no cloud was contacted or changed"
    )

"""Terraform for a stack: prepared, planned, applied, destroyed; on its own root, or offline on a copy."""

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
    """Terraform at work for a stack."""

    project: Project
    settings: Settings
    workdir: Workdir
    tool: Terraform
    note: str
    """What rests on recordings, where something does."""

    @property
    def dry(self) -> bool:
        """Whether commands are only said."""
        return self.tool.dry

    @property
    def offline(self) -> bool:
        """Whether no cloud is asked."""
        return bool(self.note)


@contextmanager
def work(
    project: Project, settings: Settings, *, offline: bool = False, dry: bool = False, looking: bool = False
) -> Iterator[TerraformProject]:
    """Everything ready for Terraform: artifacts, secrets, and offline the provider that stands in for the cloud's.

    Who is only `looking` plans nothing: secrets are then neither asked for nor made.
    """
    handed = {}
    if offline:
        settings = _as_offline(project, settings)
    if not (dry or looking):
        values = secret_values.for_a_cloud(project, settings)
        settings = with_versions(project, settings, values, offline=offline)
        handed["TF_VAR_secret_values"] = json.dumps(values)
    if not dry:
        state.private_folder(project.state(settings.stack))
    if not offline:
        directory = workdir.own(project, settings)
        yield TerraformProject(project, settings, directory, _tool(directory, settings, {}, handed, dry=dry), "")
        return
    note = _note(project, settings)
    console.warn(note)
    directory = workdir.offline(project, settings, dry=dry)
    with nullcontext("") if dry else serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        environ = {"TF_REATTACH_PROVIDERS": addresses}
        yield TerraformProject(project, settings, directory, _tool(directory, settings, environ, handed, dry=dry), note)


def _as_offline(project: Project, settings: Settings) -> Settings:
    """Return the settings with what the state of the offline copy records, for it has one of its own."""
    try:
        return records.known(settings, workdir.offline_state(project, settings))
    except UsageError as error:
        error.add_note(f"this is of the offline copy: it begins again when .devai/{settings.stack}/offline is deleted")
        raise


def without_image(settings: Settings) -> Settings:
    """The settings of a stack in which nothing runs: as before its first image was pushed."""
    none = dataclasses.replace(settings.image.gpu, digest=NO_DIGEST)
    return dataclasses.replace(settings, image=dataclasses.replace(settings.image, digest=NO_DIGEST, gpu=none))


def with_versions(project: Project, settings: Settings, values: Mapping[str, str], *, offline: bool) -> Settings:
    """The settings with the versions of the secrets that are handed over; one whose value is new has a new version.

    They become part of what is known of the deployment, except offline, where nothing is deployed.
    """
    known = settings.terraform.secret_versions
    folder = project.state(settings.stack) / ("offline" if offline else "terraform")
    wanted = {TOKEN, *settings.secrets}
    versions = {
        name: version for name, version in state.secret_versions(folder, values, known).items() if name in wanted
    }
    if not offline and versions != dict(known):
        state.record(
            project, settings.stack, {f"terraform.secret_versions.{name}": str(n) for name, n in versions.items()}
        )
    return dataclasses.replace(settings, terraform=dataclasses.replace(settings.terraform, secret_versions=versions))


def prepare(work: TerraformProject) -> None:
    """Bring modules and providers where something is new, and make sure that the backend is the stack's own."""
    stamp = work.workdir.home / "prepared"
    current = f"{work.workdir.sources}\n{json.dumps(work.workdir.expected)}\n"
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == current and not work.dry):
        init(work)
        if not work.dry:
            state.write(stamp, current)
    check_backend(work)


def init(work: TerraformProject) -> None:
    """Bring modules and providers, and set the backend."""
    work.tool.init(work.workdir.backend)
    check_backend(work)


def check_backend(work: TerraformProject) -> None:
    """Raise where Terraform would write to a state that is not the stack's."""
    file = work.workdir.data / "terraform.tfstate"
    if work.dry:
        return
    if not file.exists():
        raise DevaiError("Terraform has no backend, and would keep the state where nobody looks", hint="`inv tf.init`")
    if wrong := _differing(file, work.workdir.expected):
        raise DevaiError(
            f"the state is not that of {work.settings.stack}: {wrong}",
            hint="`inv tf.init` sets the backend",
            code="DEVAI-TF-001",
        )


def _differing(file: Path, expected: Mapping[str, object]) -> str:
    """Return in words which settings of the backend in force are others than expected; empty for none."""
    config = json.loads(file.read_text(encoding="utf-8"))["backend"]["config"]
    wrong = [name for name, value in expected.items() if config.get(name) != value]
    return ", ".join(f"{name} is {config.get(name)!r}, not {expected[name]!r}" for name in wrong)


def state_of(project: Project, settings: Settings) -> tuple[dict[str, Any], Deployed, Owner]:
    """Return the state of a stack, what it records, and whose it is; all is empty where nothing is deployed.

    The state is where this machine found it last, at the stack's own location, or where version 0.1 kept it. Raises
    UsageError where another project's is in its place, or the stack is deployed elsewhere than configured.
    """
    by_first = is_by_first(project, settings)
    last, own, first = naming.state(settings), naming.state(records.at(settings, "")), naming.first_state(settings)
    others = Deployed()
    for key in dict.fromkeys((last, own, first)):
        there = records.at(settings, key)
        with work(project, there, looking=True) as looking:
            prepare(looking)
            found = looking.tool.state()
        record = records.of_state(found, there)
        # There, several projects of version 0.1 may have had one: only names tell.
        shared = key not in (last, own)
        if not records.names_no_other(settings, record):
            others = others if shared else record
        elif record.name or (record.state and not shared):
            records.check(settings, record)
            return found, record, records.owner(settings, record, known=by_first and bool(record.name))
    records.check(settings, others)
    return {}, Deployed(), records.owner(settings, Deployed(), known=False)


def is_by_first(project: Project, settings: Settings) -> bool:
    """Return whether version 0.1 deployed the stack from this machine, and nothing newer has looked since.

    Raises UsageError where its state was elsewhere than it would be now.
    """
    file = project.state(settings.stack) / "terraform/data/terraform.tfstate"
    told = state.recorded(project, settings.stack)
    if "registry" not in told.get("image", {}) or "deployed" in told.get("terraform", {}) or not file.exists():
        return False
    first = clouds.terraform_of(settings).backend(records.at(settings, naming.first_state(settings)))
    if wrong := _differing(file, first):
        raise UsageError(
            f"{settings.stack} is deployed, and with this configuration it would be built a second time, for its state "
            f"would be elsewhere: {wrong}; nothing was changed",
            hint="set project.name, terraform.account and terraform.region back to what it was deployed with, or take "
            f"it down with those first: `inv down {settings.stack.flags} --set=KEY=VALUE`. If it no longer exists, "
            f"delete .devai/{settings.stack}/{DEPLOYMENT_FILE}",
            code="DEVAI-TF-004",
        )
    return True


def validate(project: Project, settings: Settings, *, offline: bool, dry: bool) -> None:
    """Check the configuration; without a state."""
    with work(project, settings, offline=offline, dry=dry, looking=True) as prepared:
        directory = dataclasses.replace(prepared.workdir, home=prepared.workdir.home / "validate")
        tool = dataclasses.replace(prepared.tool, data=directory.data)
        tool.init(directory.backend, state=False)
        tool.validate()


def plan(work: TerraformProject, *, destroy: bool = False, resources: Sequence[str] = ()) -> Plan:
    """Save a plan beside a note of what it rests on; returns what it does.

    Raises UsageError where it would write a secret that has no value here.
    """
    prepare(work)
    delete_plan(work)
    if resources and not destroy:  # no part of a stack is in its state without the record
        resources = [*dict.fromkeys([*resources, ".".join(records.RECORD)])]
    work.tool.plan(work.workdir.values, work.workdir.plan, destroy=destroy, resources=resources)
    if not work.dry:
        work.workdir.plan.chmod(0o600)
        rests_on = {"fingerprint": work.workdir.fingerprint, "destroy": destroy, "resources": list(resources)}
        state.write(_rests_on(work.workdir), json.dumps(rests_on))
    return _with_values(work, work.tool.show(work.workdir.plan))


def has_saved_plan(project: Project, settings: Settings) -> bool:
    """Whether a plan of the stack is saved, as against one of its offline copy."""
    return (project.state(settings.stack) / "terraform/plan").exists()


def saved_plan(work: TerraformProject) -> Plan | None:
    """The plan that was saved; None without one.

    Raises UsageError where the configuration is no longer the one that was planned, where it is to destroy, or where it
    would write a secret that has no value here.
    """
    if work.dry or not work.workdir.plan.exists():
        return None
    rests_on = json.loads(_rests_on(work.workdir).read_text(encoding="utf-8"))
    if rests_on["fingerprint"] != work.workdir.fingerprint:
        raise UsageError(
            "the saved plan is of another configuration than the present one; nothing was changed",
            hint="`inv tf.plan` makes a new one",
            code="DEVAI-TF-007",
        )
    if rests_on["destroy"]:
        raise UsageError(
            "the saved plan is to destroy", hint="`inv tf.destroy` does that. `inv tf.plan` makes another one"
        )
    prepare(work)
    return _with_values(work, work.tool.show(work.workdir.plan))


def _with_values(work: TerraformProject, planned: Plan) -> Plan:
    """The plan, which writes no secret that has no value here: an empty one would take the place of the cloud's."""
    here = json.loads(work.tool.secrets.get("TF_VAR_secret_values", "{}"))
    if unset := sorted(set(planned.secrets) - set(here)):
        raise UsageError(
            f"the cloud would get {', '.join(unset)} without a value, for there is none here; nothing was changed",
            hint="set it, or take it out of `secrets` in the configuration; if the stack was destroyed from another "
            f"machine, delete .devai/{work.settings.stack}/{DEPLOYMENT_FILE}, which still tells of it",
        )
    return planned


def delete_plan(work: TerraformProject) -> None:
    """Remove a saved plan: it may be applied once."""
    if not work.dry:
        for file in (work.workdir.plan, _rests_on(work.workdir)):
            file.unlink(missing_ok=True)


def apply(work: TerraformProject) -> dict[str, Any]:
    """Do what the saved plan says; returns the outputs that the state has then."""
    try:
        work.tool.apply(work.workdir.plan)
    finally:
        delete_plan(work)  # also a half-applied one is stale
    return work.tool.outputs()


def record(work: TerraformProject) -> None:
    """Have the stack's record in its state, before anything else of it."""
    if plan(work, resources=[".".join(records.RECORD)]).empty and not work.dry:
        return delete_plan(work)
    apply(work)
    return None


def plan_destruction(work: TerraformProject, *, data: bool) -> tuple[TerraformProject, Plan]:
    """Save a plan to destroy a stack, without `data` all but what its latched storage needs."""
    prepare(work)
    if data:
        work = _at(work, workdir.without_prevent_destroy(work.project, work.settings, work.workdir, dry=work.dry))
        return work, plan(work, destroy=True)
    going = without_latched(work.tool.state(), workdir.prevent_destroy_resources(work.workdir.root.parent))
    if work.dry:
        console.say("here with -target= for each resource of the state that latched data does not need:")
    elif not going:
        return work, Plan((), ())
    return work, plan(work, destroy=True, resources=going)


def unprotect(work: TerraformProject, planned: Plan) -> bool:
    """Have the cloud let go of what a plan destroys and a stack, while it was protected, kept; says whether it did."""
    going = {_plain(change.address) for change in planned.changes}
    addresses: list[str] = []
    lifted: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in work.tool.state().get("resources", ()):
        found: dict[str, Any] = {}
        for one in entry["instances"]:
            found |= behavior.letting_go(one["attributes"])
        if found and _plain(_address(entry)) in going:
            addresses.append(_address(entry))
            lifted[entry["type"], entry["name"]] = found
    if not lifted:
        return False
    console.say(f"taking off what protects {', '.join(addresses)}")
    lifting = _at(work, workdir.unprotected(work.project, work.settings, work.workdir, lifted))
    plan(lifting, resources=addresses)
    apply(lifting)
    return True


def _at(work: TerraformProject, directory: Workdir) -> TerraformProject:
    """The same work on another directory."""
    return dataclasses.replace(
        work, workdir=directory, tool=dataclasses.replace(work.tool, root=directory.root, data=directory.data)
    )


def has_cluster(state: Mapping[str, Any]) -> bool:
    """Whether a cluster is among a state's resources."""
    return any(entry["type"] in _CLUSTERS for entry in state.get("resources", ()))


def warn_of_cluster(work: TerraformProject, *, data: bool) -> None:
    """Say what a cluster in the stack's state has made that outlives it; `data` says that its data is to go as well."""
    if not work.dry and has_cluster(work.tool.state()):
        command = f"inv down {work.settings.stack.flags}{' --data' if data else ''}"
        console.warn(
            "the cluster's load balancer and disks stay, for Terraform doesn't know them: they go on costing, and "
            f"block the destruction of the network. `{command}` removes them first"
        )


def without_latched(
    state: Mapping[str, Any], prevent_destroy_resources: Mapping[Path, Sequence[tuple[str, str]]]
) -> list[str]:
    """The addresses of a state's resources, without latched ones and what those depend on."""
    latched = {resource for resources in prevent_destroy_resources.values() for resource in resources}
    resources = [entry for entry in state.get("resources", ()) if entry["mode"] == "managed"]
    # Dependencies are named without the keys of modules' instances.
    needs: dict[str, set[str]] = defaultdict(set)
    for entry in resources:
        needs[_plain(_address(entry))] |= {name for one in entry["instances"] for name in one.get("dependencies", ())}
    staying = {_plain(_address(entry)) for entry in resources if (entry["type"], entry["name"]) in latched}
    if staying:  # by its names they are found again
        staying.add(".".join(records.RECORD))
    waiting = list(staying)
    while waiting:
        new = needs[waiting.pop()] - staying
        staying |= new
        waiting += new
    return sorted({address for entry in resources if _plain(address := _address(entry)) not in staying})


def _address(entry: Mapping[str, Any]) -> str:
    """A resource's address with all its instances, in one instance of its module."""
    return ".".join([*filter(None, [entry.get("module")]), entry["type"], entry["name"]])


def _plain(address: str) -> str:
    return re.sub(r"\[[^]]*\]", "", address)


def _tool(
    directory: Workdir, settings: Settings, environ: Mapping[str, str], handed: Mapping[str, str], *, dry: bool
) -> Terraform:
    given = os.environ.get("DEVAI_PROVIDER_DIR")
    mirror = Path(given) if given and not environ else None
    return Terraform(directory.root, directory.data, settings.terraform.program, environ, handed, mirror, dry)


def _rests_on(directory: Workdir) -> Path:
    return directory.home / "plan.json"


def _note(project: Project, settings: Settings) -> str:
    """What to say of everything that rests on recordings. Raises UsageError where one lacks."""
    recordings = recording.shipped()
    if missing := Used.below(project.root / "deploy/terraform").missing(recordings):
        raise UsageError(f"no recorded schema of {', '.join(missing)}", hint="`inv tf.record` makes them")
    served = ", ".join(f"{one.name} {one.version}" for one in recordings)
    return (
        f"offline: {settings.stack} as recorded schemas see it ({served}), with made-up values and a state of its own; "
        "no cloud was asked and none is changed"
    )

"""What a stack's state records of it, and what was recorded on this machine."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from devai_tasks import clouds
from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.sections.cloud import Deployed
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import ownership, state
from devai_tasks.workspace.ownership import Claim, Owner

# The resource of each root that holds the record.
RECORD = ("terraform_data", "stack")


def is_record(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a state's resources is the stack's record."""
    return (entry["type"], entry["name"]) == RECORD and "module" not in entry


def managed(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the resources of a state that exist in the cloud, as against what was only looked up."""
    return [entry for entry in found.get("resources", ()) if entry["mode"] == "managed" and entry["instances"]]


def of_state(found: Mapping[str, Any], settings: Settings) -> Deployed:
    """Return the record of the state at the settings' location; every value is empty where nothing is deployed.

    Version 0.1 wrote no record. A state of its own has resources with the names that it gave them. Of other resources
    without a record, only the location is known.
    """
    resources = managed(found)
    if not resources:
        return Deployed()
    fields = {field.name for field in dataclasses.fields(Deployed)}
    recorded = [entry["instances"][0]["attributes"]["input"]["value"] for entry in filter(is_record, resources)]
    if recorded:
        record = Deployed(**{name: value for name, value in recorded[0].items() if name in fields})
    else:
        record = _of_first(json.dumps(resources), settings)
    cloud = clouds.terraform_of(settings)
    store, group = cloud.store_name(settings, record), cloud.store_group(settings, record)
    return dataclasses.replace(record, state=naming.state(settings), store=store, group=group)


def _of_first(resources: str, settings: Settings) -> Deployed:
    """Return what resources that version 0.1 made tell of the stack; of others only the location that they are at."""
    names = naming.first_name(settings), naming.first_unique(settings)
    cloud, own = clouds.terraform_of(settings), settings.terraform
    if not re.search(rf"(?<![a-z0-9-])({'|'.join(names)})(?![a-z0-9-])", resources):
        return Deployed(account=own.account, region=own.region)
    return Deployed(
        name=names[0],
        unique=names[1],
        project=settings.project.name,
        account=_told(resources, cloud.account_in_state, own.account) if cloud.account_in_state else "",
        region=_told(resources, cloud.region_in_state, own.region),
    )


def _told(text: str, pattern: str, configured: str) -> str:
    """Return the configured value where a text has it, else the most frequent one that the pattern finds there."""
    found = re.findall(pattern, text)
    return configured if configured in text else max(found, key=found.count, default="")


def owner(settings: Settings, record: Deployed, *, known: bool) -> Owner:
    """Return whose the stack of a state is that names no other project.

    Its record has to name this project's identity, or it has to be `known` by what this machine did; else it is
    unclear, for another project of the same name has its state at the same place.
    """
    what = f"the state of {settings.stack} ({record.state} in {record.store})"
    if record == Deployed():
        return Owner(Claim.FREE, what, "")
    if known or settings.terraform.deployed.project == settings.project.name:
        return Owner(Claim.OWN, what, "")
    return ownership.of_project(settings, what, record.project_id or None)


def owned(settings: Settings, record: Deployed) -> Deployed:
    """Return the record of a stack that is this project's, also where its state doesn't say so yet."""
    return record if record == Deployed() else dataclasses.replace(record, project=settings.project.name)


def names_no_other(settings: Settings, record: Deployed) -> bool:
    """Whether a record doesn't say that the stack is another project's."""
    same_name = record.project in ("", settings.project.name)
    return same_name and record.project_id in ("", settings.project.id)


def check(settings: Settings, record: Deployed) -> None:
    """Raise UsageError where the stack belongs to another project, or is deployed elsewhere than configured."""
    if not names_no_other(settings, record):
        raise UsageError(
            f"the state of {settings.stack} belongs to another project: {_project(record.project, record.project_id)}, "
            f"and this one is {_project(settings.project.name, settings.project.id)}; nothing was changed",
            hint=f"choose another project.name in {ownership.FILE}, or, where it is the same project, set project.name "
            "and project.id there to what the state records",
            code="DEVAI-TF-002",
        )
    moved = clouds.terraform_of(settings).moved(_with(settings, record))
    if broken := [f"{'.'.join(key)}: {allowed}" for key, allowed, _ in moved]:
        raise UsageError("\n".join([*broken, "nothing was changed"]), code="DEVAI-TF-003")


def _project(name: str, identity: str) -> str:
    return f"{name} (project.id {identity or 'unset'})"


def at(settings: Settings, key: str) -> Settings:
    """Return the settings of a stack whose state is at a location of the store."""
    return _with(settings, dataclasses.replace(settings.terraform.deployed, state=key))


def known(settings: Settings, found: Mapping[str, Any]) -> Settings:
    """Return the settings of a stack with what its state records.

    Raises UsageError where the state is that of another project, or of a stack that is deployed elsewhere.
    """
    record = of_state(found, settings)
    check(settings, record)
    return settings if record == Deployed() else _with(settings, record)


def _with(settings: Settings, record: Deployed) -> Settings:
    return dataclasses.replace(settings, terraform=dataclasses.replace(settings.terraform, deployed=record))


def note(project: Project, settings: Settings, record: Deployed) -> None:
    """Make what the state records part of the stack's configuration on this machine.

    A state that is empty takes nothing back: another store may have been asked. Only a destruction does.
    """
    if record != Deployed():
        values = dataclasses.asdict(record)
        state.record(project, settings.stack, {f"terraform.deployed.{name}": value for name, value in values.items()})


def outputs(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a state."""
    return {name: entry["value"] for name, entry in found.get("outputs", {}).items()}

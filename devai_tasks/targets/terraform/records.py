"""The record of a stack in its Terraform state, and the copy of the record on this machine."""

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


def managed(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the managed resources of a state; data sources are left out."""
    return [entry for entry in content.get("resources", ()) if entry["mode"] == "managed" and entry["instances"]]


def of_state(content: Mapping[str, Any], settings: Settings) -> Deployed:
    """Return the record in the state at the settings' location; every value is empty if nothing is deployed.

    Version 0.1 wrote no record, but its states are recognized by the names of their resources. For other resources
    without a record, only the location is known.
    """
    resources = managed(content)
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
    """Return the record derived from resources that version 0.1 created; for other resources only their location."""
    names = naming.first_name(settings), naming.first_unique(settings)
    cloud, configured = clouds.terraform_of(settings), settings.terraform
    if not re.search(rf"(?<![a-z0-9-])({'|'.join(names)})(?![a-z0-9-])", resources):
        return Deployed(account=configured.account, region=configured.region)
    return Deployed(
        name=names[0],
        unique=names[1],
        project=settings.project.name,
        account=_account_or_region(resources, cloud.account_in_state, configured.account)
        if cloud.account_in_state
        else "",
        region=_account_or_region(resources, cloud.region_in_state, configured.region),
    )


def _account_or_region(text: str, pattern: str, configured: str) -> str:
    """Return the configured value if the text contains it, else the most frequent match of the pattern."""
    matches = re.findall(pattern, text)
    return configured if configured in text else max(matches, key=matches.count, default="")


def owner(settings: Settings, record: Deployed, *, known: bool) -> Owner:
    """Return the owner of a state that names no other project.

    This project is the owner if the record has its `project.id`, or if the deployment is `known` from what this machine
    did. Otherwise the owner is unclear, because another project with the same name has its state at the same location.
    """
    what = f"the state of {settings.stack} ({record.state} in {record.store})"
    if record == Deployed():
        return Owner(Claim.FREE, what, "")
    if known or settings.terraform.deployed.project == settings.project.name:
        return Owner(Claim.OWN, what, "")
    return ownership.of_project(settings, what, record.project_id or None)


def owned(settings: Settings, record: Deployed) -> Deployed:
    """Return the record with this project as owner, even if the state does not contain that yet."""
    return record if record == Deployed() else dataclasses.replace(record, project=settings.project.name)


def matches_project(settings: Settings, record: Deployed) -> bool:
    """Whether a record is compatible with this project: its name and ID match or are empty."""
    same_name = record.project in ("", settings.project.name)
    return same_name and record.project_id in ("", settings.project.id)


def check(settings: Settings, record: Deployed) -> None:
    """Raise UsageError if the stack belongs to another project, or is deployed elsewhere than configured."""
    if not matches_project(settings, record):
        raise UsageError(
            f"the state of {settings.stack} belongs to another project: {_project(record.project, record.project_id)}, "
            f"and this one is {_project(settings.project.name, settings.project.id)}; nothing was changed",
            hint=f"choose another project.name in {ownership.FILE}; if it is the same project, set project.name and "
            "project.id in that file to the values in the state",
            code="DEVAI-TF-002",
        )
    moved = clouds.terraform_of(settings).moved(_with(settings, record))
    if broken := [f"{'.'.join(key)}: {allowed}" for key, allowed, _ in moved]:
        raise UsageError("\n".join([*broken, "nothing was changed"]), code="DEVAI-TF-003")


def _project(name: str, identity: str) -> str:
    return f"{name} (project.id {identity or 'unset'})"


def at(settings: Settings, key: str) -> Settings:
    """Return the settings of a stack whose state has the given key in the storage."""
    return _with(settings, dataclasses.replace(settings.terraform.deployed, state=key))


def known(settings: Settings, content: Mapping[str, Any]) -> Settings:
    """Return the settings of a stack with the record in its state.

    Raises:
        UsageError: the state belongs to another project, or the stack is deployed elsewhere than configured.
    """
    record = of_state(content, settings)
    check(settings, record)
    return settings if record == Deployed() else _with(settings, record)


def _with(settings: Settings, record: Deployed) -> Settings:
    return dataclasses.replace(settings, terraform=dataclasses.replace(settings.terraform, deployed=record))


def note(project: Project, settings: Settings, record: Deployed) -> None:
    """Store the state's record as part of the stack's configuration on this machine.

    An empty state removes nothing, because another storage may have been read. Only a destruction removes the record.
    """
    if record != Deployed():
        values = dataclasses.asdict(record)
        state.record(project, settings.stack, {f"terraform.deployed.{name}": value for name, value in values.items()})


def outputs(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a state."""
    return {name: entry["value"] for name, entry in content.get("outputs", {}).items()}

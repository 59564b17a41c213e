"""Where Terraform keeps states: the store that an account and region have by themselves, or one that is named."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from devai_tasks.config.sections.cloud import Deployed

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings


def name(settings: Settings, deployed: Deployed | None = None) -> str:
    """Return the bucket or storage account; of a stack that is `deployed`, as it would be where that is.

    Its name is nobody else's in the world, so account and region are in it, as a digest: a storage account's has 24
    lower-case letters and digits at most ("Storage account overview"), a bucket's 63 characters.
    """
    own, there = settings.terraform, deployed or Deployed()
    if own.state.store:
        return own.state.store
    project, identity = (
        there.project or settings.project.name,
        f"{there.account or own.account} {there.region or own.region}",
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    if settings.compute.provider == "azure":
        return f"{project.replace('-', '')[:12]}{digest}"
    return f"{project}-state-{digest}"


def group(settings: Settings, deployed: Deployed | None = None) -> str:
    """Return the resource group that the storage account is in; empty where there are none, outside of Azure."""
    if settings.compute.provider != "azure":
        return ""
    there = deployed or Deployed()
    return settings.terraform.state.group or f"{there.project or settings.project.name}-state"

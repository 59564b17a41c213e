"""Cloud-specific behavior: one module for each cloud, with one implementation of `Cloud`.

A new cloud consists of a module here, a file in conf/clouds, and its manifests and Terraform modules in deploy/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devai_tasks.clouds.aws import Aws
from devai_tasks.clouds.azure import Azure
from devai_tasks.clouds.existing_cluster import ExistingCluster
from devai_tasks.clouds.gcp import Gcp
from devai_tasks.clouds.local import Local

if TYPE_CHECKING:
    from devai_tasks.clouds.base import Cloud
    from devai_tasks.clouds.terraform import TerraformCloud
    from devai_tasks.config.schema import Settings

WITH_TERRAFORM: dict[str, TerraformCloud] = {cloud.name: cloud for cloud in (Aws(), Azure(), Gcp())}
ALL: dict[str, Cloud] = {cloud.name: cloud for cloud in (Local(), ExistingCluster(), *WITH_TERRAFORM.values())}


def of(settings: Settings) -> Cloud:
    """Return the cloud of a stack."""
    return ALL[settings.compute.provider]


def terraform_of(settings: Settings) -> TerraformCloud:
    """Return the cloud of a stack that Terraform creates. Raises KeyError for any other stack."""
    return WITH_TERRAFORM[settings.compute.provider]

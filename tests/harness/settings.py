"""Load the configuration of stacks as tasks do: with the rules of the clouds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from devai_tasks.config import load as loading
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.stack import loading as deployment


def load(
    project: Project,
    stack: Stack,
    overrides: Sequence[str] = (),
    *,
    gpu: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the settings of one stack."""
    return Sources(project, environ).configuration(stack, overrides, gpu=gpu).settings


class Sources(loading.Sources):
    """The sources of a project's configuration, with the rules of the clouds."""

    def __init__(self, project: Project, environ: Mapping[str, str] = os.environ, **options: Any) -> None:
        super().__init__(project, environ, deployment=deployment, **options)

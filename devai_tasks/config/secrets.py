"""Secrets: never part of Settings, resolved only where they are handed over."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from devai_tasks.config import document
from devai_tasks.config.project import Project
from devai_tasks.errors import ConfigError, Problem, UsageError

FILE = "conf/secrets.yaml"


def resolve(project: Project, names: Sequence[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The value of each secret, empty where it is set nowhere: from the environment, else from conf/secrets.yaml.

    Raises UsageError where others can read the file, ConfigError where it is no map of texts.
    """
    stored = _stored(project)
    return {name: environ.get(name) or stored.get(name, "") for name in names}


def _stored(project: Project) -> dict[str, str]:
    file = project.root / FILE
    if not file.exists():
        return {}
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{FILE} can be read by others; `chmod 600 {FILE}`")
    # No message quotes what stands there: it may be the secret.
    try:
        content = document.read(file, FILE)
    except ConfigError as error:
        remedy = 'write `NAME: "value"` lines, as in conf/secrets.example.yaml'
        raise ConfigError(Problem(problem.place, "can't be read", remedy) for problem in error.problems) from None
    problems = [
        Problem(content.places[(name,)], name, "one text, not a list or a map")
        for name, value in content.tree.items()
        if isinstance(value, (dict, list))
    ]
    if problems:
        raise ConfigError(problems)
    return {name: value for name, value in content.tree.items() if isinstance(value, str)}

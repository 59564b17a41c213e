"""Locations of a project's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from devai_tasks.config.stack import STACK_NAME, STACK_NAME_RULE, Stack
from devai_tasks.system.errors import ConfigError, Problem, UsageError, nearest


@dataclass(frozen=True)
class Project:
    """A folder that contains `conf/` and `deploy/`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """Return the project that contains `start`, by default the current directory.

        Raises:
            UsageError: Neither the folder nor any of its parents is a project.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "conf").is_dir() and (folder / "deploy").is_dir():
                return cls(folder)
        message = f"no project in {start} or its parents (a folder with conf/ and deploy/)"
        raise UsageError(message, hint="`devai new DIR` creates one")

    @property
    def conf(self) -> Path:
        """Folder of the configuration layers."""
        return self.root / "conf"

    def artifacts(self, stack: Stack) -> Path:
        """Return the folder of a stack's generated artifacts."""
        return self.root / "generated" / str(stack)

    def state(self, stack: Stack) -> Path:
        """Return the folder of a stack's local state, which only its owner may read."""
        return self.root / ".devai" / str(stack)

    @property
    def environments(self) -> list[str]:
        """Valid values of --env: the files in conf/profiles."""
        return sorted(file.stem for file in (self.conf / "profiles").glob("*.yaml"))

    @property
    def clouds(self) -> list[str]:
        """Valid values of --cloud: the files in conf/clouds."""
        return sorted(file.stem for file in (self.conf / "clouds").glob("*.yaml"))

    @property
    def stacks(self) -> list[Stack]:
        """All combinations of environments and clouds."""
        return [Stack(environment, cloud) for cloud in self.clouds for environment in self.environments]

    def conflicts(self, stack: Stack) -> list[Problem]:
        """Return a problem if another stack has the same name, and so the same files, locks and resources."""
        parts = str(stack).split("-")
        pairs = [["-".join(parts[:end]), "-".join(parts[end:])] for end in range(1, len(parts))]
        files = [[f"conf/clouds/{cloud}.yaml", f"conf/profiles/{environment}.yaml"] for cloud, environment in pairs]
        existing = [pair for pair in files if all((self.root / file).exists() for file in pair)]
        if len(existing) < 2:  # noqa: PLR2004 - the stack itself, and another one
            return []
        allowed = (
            f"a unique name: {', and '.join(map(' with '.join, existing))} have the same; rename one of these files"
        )
        return [Problem(f"{existing[0][0]}:1:1", str(stack), allowed)]

    def loading(self, name: str) -> list[Stack]:
        """Return the stacks that load a shared file of `conf/`, by its path in the project."""
        kind, stem = Path(name).parts[1], Path(name).stem

        def loads(stack: Stack) -> bool:
            return stem == {"clouds": stack.cloud, "profiles": stack.environment}.get(kind, str(stack))

        return [stack for stack in self.stacks if kind == "common" or loads(stack)]

    def stack(self, environment: str, cloud: str, *, locations: Mapping[str, str] = MappingProxyType({})) -> Stack:
        """Return the stack of an environment and a cloud.

        Args:
            environment: Name of the environment.
            cloud: Name of the cloud.
            locations: Location of `env` and `cloud`, for each that is not set by its flag.

        Raises:
            ConfigError: The environment or the cloud is not defined in `conf/`.
        """
        problems = []
        for flag, kind, name, names, folder in (
            ("env", "environment", environment, self.environments, "profiles"),
            ("cloud", "cloud", cloud, self.clouds, "clouds"),
        ):
            location = locations.get(flag, f"--{flag}={name}")
            allowed = f"one of: {', '.join(names) or '(none)'}; to add one, create a file in conf/{folder}/"
            if not name:
                problems.append(Problem("conf/common/defaults.yaml:1:1", f"defaults.{flag} has no value", allowed))
            elif name not in names:
                problems.append(Problem(location, f"unknown {kind} {name!r}{nearest(name, names)}", allowed))
            elif not re.fullmatch(STACK_NAME, name):
                problems.append(Problem(f"conf/{folder}/{name}.yaml:1:1", name, STACK_NAME_RULE))
        if problems:
            raise ConfigError(problems)
        return Stack(environment, cloud)

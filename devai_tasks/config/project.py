"""Where a project's files are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from devai_tasks.config.stack import STACK_NAME, STACK_NAME_WORDS, Stack
from devai_tasks.system.errors import ConfigError, Problem, UsageError, nearest


@dataclass(frozen=True)
class Project:
    """A folder with `conf/` beside `deploy/`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The project that `start` (default: the current directory) is in.

        Raises UsageError where there is none.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "conf").is_dir() and (folder / "deploy").is_dir():
                return cls(folder)
        message = f"no project in {here} or above it (conf/ beside deploy/)"
        raise UsageError(message, hint="`devai new DIR` writes one")

    @property
    def conf(self) -> Path:
        """The configuration's layers."""
        return self.root / "conf"

    def artifacts(self, stack: Stack) -> Path:
        """Where what is generated for a stack goes."""
        return self.root / "generated" / str(stack)

    def state(self, stack: Stack) -> Path:
        """What a stack remembers on this machine; for its owner only."""
        return self.root / ".devai" / str(stack)

    @property
    def environments(self) -> list[str]:
        """What --env may be: the files of conf/profiles."""
        return sorted(file.stem for file in (self.conf / "profiles").glob("*.yaml"))

    @property
    def clouds(self) -> list[str]:
        """What --cloud may be: the files of conf/clouds."""
        return sorted(file.stem for file in (self.conf / "clouds").glob("*.yaml"))

    @property
    def stacks(self) -> list[Stack]:
        """Every environment on every cloud."""
        return [Stack(environment, cloud) for cloud in self.clouds for environment in self.environments]

    def conflicts(self, stack: Stack) -> list[Problem]:
        """What is wrong with a stack whose name is another's too, and with it all that is kept under a name."""
        parts = str(stack).split("-")
        pairs = [["-".join(parts[:end]), "-".join(parts[end:])] for end in range(1, len(parts))]
        files = [[f"conf/clouds/{cloud}.yaml", f"conf/profiles/{environment}.yaml"] for cloud, environment in pairs]
        there = [pair for pair in files if all((self.root / file).exists() for file in pair)]
        if len(there) < 2:  # noqa: PLR2004 - the stack itself, and another
            return []
        remedy = f"the name of two stacks: {', and '.join(map(' with '.join, there))}; rename one of these files"
        return [Problem(f"{there[0][0]}:1:1", str(stack), remedy)]

    def loading(self, name: str) -> list[Stack]:
        """The stacks that load a shared file of `conf/`, by its name in the project."""
        kind, stem = Path(name).parts[1], Path(name).stem

        def loads(stack: Stack) -> bool:
            return stem == {"clouds": stack.cloud, "profiles": stack.environment}.get(kind, str(stack))

        return [stack for stack in self.stacks if kind == "common" or loads(stack)]

    def stack(self, environment: str, cloud: str, *, places: Mapping[str, str] = MappingProxyType({})) -> Stack:
        """The stack of an environment on a cloud.

        `places` says where each of `env` and `cloud` was given, if not by its flag. Raises ConfigError for what `conf/`
        doesn't know.
        """
        problems = []
        for flag, kind, name, names, folder in (
            ("env", "environment", environment, self.environments, "profiles"),
            ("cloud", "cloud", cloud, self.clouds, "clouds"),
        ):
            place = places.get(flag, f"--{flag}={name}")
            remedy = f"there are {', '.join(names) or 'none'}; a new one is a file in conf/{folder}/"
            if not name:
                problems.append(Problem("conf/common/defaults.yaml:1:1", f"defaults.{flag} has no value", remedy))
            elif name not in names:
                problems.append(Problem(place, f"unknown {kind} {name!r}{nearest(name, names)}", remedy))
            elif not re.fullmatch(STACK_NAME, name):
                problems.append(Problem(f"conf/{folder}/{name}.yaml:1:1", name, STACK_NAME_WORDS))
        if problems:
            raise ConfigError(problems)
        return Stack(environment, cloud)

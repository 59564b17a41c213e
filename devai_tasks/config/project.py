"""Where a project's files are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config.stack import Stack
from devai_tasks.errors import UsageError, unknown


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
        raise UsageError(f"no project in {here} or above it (conf/ beside deploy/); `devai new DIR` writes one")

    @property
    def conf(self) -> Path:
        """The configuration's layers."""
        return self.root / "conf"

    def artefacts(self, stack: Stack) -> Path:
        """Where what is generated for a stack goes."""
        return self.root / "generated" / str(stack)

    def state(self, stack: Stack) -> Path:
        """What a stack remembers on this machine; for its owner only."""
        return self.root / ".devai" / str(stack)

    def stack(self, environment: str, cloud: str) -> Stack:
        """The stack of an environment on a cloud. Raises UsageError for one that `conf/` doesn't know."""
        for kind, name, folder in (("environment", environment, "profiles"), ("cloud", cloud, "clouds")):
            names = [file.stem for file in (self.conf / folder).glob("*.yaml")]
            if name not in names:
                raise UsageError(f"{unknown(kind, name, names)}; a new one is a file in conf/{folder}/")
            if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
                raise UsageError(f"conf/{folder}/{name}.yaml: the name may have lower-case letters, digits and hyphens")
        return Stack(environment, cloud)

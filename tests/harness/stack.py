"""A stack that runs, from outside."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property

import testinfra
from testinfra.host import Host

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.operations import lab
from devai_tasks.render.compose import project_name
from harness.cli import inv
from harness.jupyter import Jupyter

# Nobody's, so that what belongs to it was mapped on purpose.
UID = 4242
CANARY = "canary-of-the-smoke-test-0123456789"


@dataclass(frozen=True)
class RunningStack:
    """A stack that runs, and the command line that works on it."""

    project: Project
    environment: str
    cloud: str = "local"

    @cached_property
    def settings(self) -> Settings:
        """Its settings."""
        return load(self.project, self.project.stack(self.environment, self.cloud))

    @cached_property
    def jupyter(self) -> Jupyter:
        """Its JupyterLab."""
        return Jupyter(lab.link(self.project, self.settings))

    def inv(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A task on it."""
        return inv(*arguments, f"--env={self.environment}", cwd=self.project.root, environ=environ)

    @property
    def services(self) -> list[str]:
        """What runs in containers of its own."""
        return ["devai", "ollama"] if self.settings.ollama.mode == "container" else ["devai"]

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{project_name(self.settings)}-{service}-1"

    def host(self, service: str) -> Host:
        """A service's container, as testinfra sees it."""
        return testinfra.get_host(f"docker://{self.container(service)}")


def docker(*arguments: str) -> str:
    """Output of the docker command line."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def assert_nowhere(stack: RunningStack, secret: str) -> None:
    """No place that others look into shows a secret."""
    container = stack.container("devai")
    image = json.loads(docker("inspect", container))[0]["Image"]
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    places = {
        "the container's definition": docker("inspect", container),
        "the image": docker("inspect", image),
        "the image's history": docker("history", "--no-trunc", image),
        "the log": logs.stdout + logs.stderr,
        "the process list": docker("top", container, "-eo", "pid,args"),
        "artefacts": "".join(
            file.read_text(encoding="utf-8")
            for file in stack.project.artefacts(stack.settings.stack).rglob("*")
            if file.is_file()
        ),
    }
    assert [place for place, text in places.items() if secret in text] == []

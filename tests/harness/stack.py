"""A running stack as tests use it, independent of the platform."""

from __future__ import annotations

import json
import re
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import testinfra
from testinfra.host import Host

from devai_tasks.config import image_names, naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.targets.compose.rendering import url
from devai_tasks.workspace import state
from harness.cli import inv
from harness.jupyter import Jupyter
from harness.settings import load

# No account has this user ID; files with this owner were mapped on purpose.
UID = 4242
CANARY = "canary-of-the-smoke-test-0123456789"


class RunningStack(ABC):
    """A running stack and its command line."""

    project: Project

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The stack's settings."""

    @property
    @abstractmethod
    def jupyter(self) -> Jupyter:
        """The stack's JupyterLab."""

    @property
    @abstractmethod
    def user(self) -> tuple[int, int]:
        """User ID and group ID of the lab's processes."""

    @abstractmethod
    def host(self, service: str) -> Host:
        """Return testinfra's host of a service's container."""

    @abstractmethod
    def visible_texts(self) -> dict[str, str]:
        """Return all texts that other users may see, by source."""

    @property
    def services(self) -> list[str]:
        """The names of the services that run in containers."""
        return ["devai", "ollama"] if self.settings.ollama.mode == "container" else ["devai"]

    def artifacts(self) -> str:
        """Return the text of all rendered artifacts."""
        files = sorted(self.project.artifacts(self.settings.stack).rglob("*"))
        return "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


@dataclass(frozen=True)
class ComposeStack(RunningStack):
    """A stack that Compose runs."""

    project: Project
    environment: str
    cloud: str = "local"

    @cached_property
    def settings(self) -> Settings:
        """The stack's settings."""
        return load(self.project, self.project.stack(self.environment, self.cloud))

    @property
    def ollama_image(self) -> str:
        """The image of the stack's Ollama, which `up` recorded."""
        return image_names.ollama(load(self.project, self.settings.stack))

    @cached_property
    def jupyter(self) -> Jupyter:
        """The stack's JupyterLab."""
        return Jupyter(f"{url(self.settings)}?token={state.token(self.project, self.settings.stack)}")

    @property
    def user(self) -> tuple[int, int]:
        """The configured user and group, which own the files of the home on this machine."""
        return self.settings.engine.uid, self.settings.engine.gid

    def inv(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a task on the stack."""
        return inv(*arguments, f"--env={self.environment}", cwd=self.project.root, environ=environ)

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{naming.stack(self.settings)}-{service}-1"

    @property
    def published(self) -> dict[str, tuple[str, int]]:
        """Published address and port by service."""
        return {
            name: (binding["HostIp"], int(binding["HostPort"]))
            for name in self.services
            for bindings in json.loads(docker("inspect", self.container(name)))[0]["NetworkSettings"]["Ports"].values()
            for binding in bindings or []
        }

    def host(self, service: str) -> Host:
        """Return testinfra's host of a service's container."""
        return testinfra.get_host(f"docker://{self.container(service)}")

    def visible_texts(self) -> dict[str, str]:
        """Return all texts that other users may see, by source."""
        container = self.container("devai")
        image = json.loads(docker("inspect", container))[0]["Image"]
        logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
        return {
            "the container's definition": docker("inspect", container),
            "the log": logs.stdout + logs.stderr,
            "the process list": command_lines(self.host("devai")),
            "artifacts": self.artifacts(),
            **image_texts(image),
        }


@dataclass(frozen=True)
class Process:
    """A process in a container, as /proc shows it."""

    number: int
    parent: int
    name: str
    user: int
    group: int


def processes(host: Host) -> set[Process]:
    """Return the processes of a container, without those of this query."""
    shell, *statuses = host.check_output("echo $$; cat /proc/[0-9]*/status 2>/dev/null; true").split("Name:\t")
    known = {process.number: process for process in map(_process, statuses)}
    query = {int(shell)}
    for number in sorted(known):
        if known[number].parent in query:
            query.add(number)
    return {process for number, process in known.items() if number not in query}


def _process(status: str) -> Process:
    def number(field: str) -> int:
        match = re.search(rf"^{field}:\t(\d+)", status, flags=re.MULTILINE)
        assert match, status
        return int(match[1])

    return Process(number("Pid"), number("PPid"), status.partition("\n")[0], number("Uid"), number("Gid"))


def command_lines(host: Host) -> str:
    """Return the command lines of a container's processes."""
    return str(host.check_output("cat /proc/[0-9]*/cmdline 2>/dev/null; true"))


def assert_no_capabilities(host: Host) -> None:
    """Assert that the first process of a container has no capability and cannot gain any."""
    status = host.file("/proc/1/status").content_string
    sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert {name: int(value, 16) for name, value in sets.items()} == dict.fromkeys(sets, 0)
    assert {"CapEff", "CapBnd"} <= sets.keys()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status  # a filter


def docker(*arguments: str) -> str:
    """Run the docker command line; return its output."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def image_texts(name: str) -> dict[str, str]:
    """Return the texts that anyone with access to the image can read."""
    return {"the image": docker("inspect", name), "the image's history": docker("history", "--no-trunc", name)}


def assert_not_exposed(stack: RunningStack, secret: str) -> None:
    """Assert that a secret is in no text that other users may see."""
    texts = stack.visible_texts()
    assert all(texts.values()), texts.keys()  # no text is empty
    assert [source for source, text in texts.items() if secret in text] == []

"""A stack that runs, from outside: the same questions, whatever it runs on."""

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

# Nobody's, so that what belongs to it was mapped on purpose.
UID = 4242
CANARY = "canary-of-the-smoke-test-0123456789"


class RunningStack(ABC):
    """A stack that runs, and the command line that works on it."""

    project: Project

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """Its settings."""

    @property
    @abstractmethod
    def jupyter(self) -> Jupyter:
        """Its JupyterLab."""

    @property
    @abstractmethod
    def user(self) -> tuple[int, int]:
        """Who the lab's processes are, by user and group."""

    @abstractmethod
    def host(self, service: str) -> Host:
        """A service's container, as testinfra sees it."""

    @abstractmethod
    def visible_texts(self) -> dict[str, str]:
        """Where others may look, and what they find there."""

    @property
    def services(self) -> list[str]:
        """What runs in containers of its own."""
        return ["devai", "ollama"] if self.settings.ollama.mode == "container" else ["devai"]

    def artifacts(self) -> str:
        """All that was rendered for it."""
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
        """Its settings."""
        return load(self.project, self.project.stack(self.environment, self.cloud))

    @property
    def ollama_image(self) -> str:
        """The image that its Ollama runs: noted when it was brought up."""
        return image_names.ollama(load(self.project, self.settings.stack))

    @cached_property
    def jupyter(self) -> Jupyter:
        """Its JupyterLab."""
        return Jupyter(f"{url(self.settings)}?token={state.token(self.project, self.settings.stack)}")

    @property
    def user(self) -> tuple[int, int]:
        """That of the configuration, whom the files in the home belong to on this machine."""
        return self.settings.engine.uid, self.settings.engine.gid

    def inv(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A task on it."""
        return inv(*arguments, f"--env={self.environment}", cwd=self.project.root, environ=environ)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{naming.stack(self.settings)}-{service}-1"

    @property
    def published(self) -> dict[str, tuple[str, int]]:
        """Address and port of this machine by service."""
        return {
            name: (binding["HostIp"], int(binding["HostPort"]))
            for name in self.services
            for bindings in json.loads(docker("inspect", self.container(name)))[0]["NetworkSettings"]["Ports"].values()
            for binding in bindings or []
        }

    def host(self, service: str) -> Host:
        """A service's container, as testinfra sees it."""
        return testinfra.get_host(f"docker://{self.container(service)}")

    def visible_texts(self) -> dict[str, str]:
        """Where others may look, and what they find there."""
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
    """A process in a container, as its kernel describes it."""

    number: int
    parent: int
    name: str
    user: int
    group: int


def processes(host: Host) -> set[Process]:
    """The processes of a container, without those that look at them."""
    shell, *found = host.check_output("echo $$; cat /proc/[0-9]*/status 2>/dev/null; true").split("Name:\t")
    known = {process.number: process for process in map(_process, found)}
    own = {int(shell)}
    for number in sorted(known):
        if known[number].parent in own:
            own.add(number)
    return {process for number, process in known.items() if number not in own}


def _process(status: str) -> Process:
    def number(field: str) -> int:
        found = re.search(rf"^{field}:\t(\d+)", status, flags=re.MULTILINE)
        assert found, status
        return int(found[1])

    return Process(number("Pid"), number("PPid"), status.partition("\n")[0], number("Uid"), number("Gid"))


def command_lines(host: Host) -> str:
    """What a container's processes were called with."""
    return str(host.check_output("cat /proc/[0-9]*/cmdline 2>/dev/null; true"))


def assert_no_capabilities(host: Host) -> None:
    """The first process of a container has no capability, whoever it is, and can gain none."""
    status = host.file("/proc/1/status").content_string
    sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert {name: int(found, 16) for name, found in sets.items()} == dict.fromkeys(sets, 0)
    assert {"CapEff", "CapBnd"} <= sets.keys()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status  # a filter


def docker(*arguments: str) -> str:
    """Output of the docker command line."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def image_texts(name: str) -> dict[str, str]:
    """What an image of the engine tells whoever has it."""
    return {"the image": docker("inspect", name), "the image's history": docker("history", "--no-trunc", name)}


def assert_not_exposed(stack: RunningStack, secret: str) -> None:
    """No place that others look into shows a secret."""
    places = stack.visible_texts()
    assert all(places.values()), places.keys()  # each of them shows something
    assert [place for place, text in places.items() if secret in text] == []

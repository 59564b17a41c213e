"""Images from the engine of this machine into a cluster that has no registry."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from devai_tasks import console
from devai_tasks.errors import ToolFailed, ToolMissing

if TYPE_CHECKING:
    from devai_tasks.tools.docker import Docker


class Loader(Protocol):
    """A way into a cluster."""

    def load(self, docker: Docker, image: str) -> None:
        """Have an image of the engine in the cluster. Raises ToolMissing or ToolFailed."""


def find(loader: str, context: str) -> Loader | None:
    """The way that is configured; for `auto`, the one that a context's name tells, if it does."""
    if loader != "auto":
        return _Command(shlex.split(loader))
    if match := re.fullmatch(r"kind-(.+)", context):
        return _Program(("kind", "load", "docker-image"), (f"--name={match[1]}",))
    if match := re.fullmatch(r"k3d-(.+)", context):
        return _Program(("k3d", "image", "import"), (f"--cluster={match[1]}",))
    if re.fullmatch(r"minikube\S*", context):
        return _Program(("minikube", "image", "load"), (f"--profile={context}",))
    if context in ("docker-desktop", "docker-for-desktop", "rancher-desktop", "orbstack"):
        return _Nothing()
    return None


@dataclass(frozen=True)
class _Program:
    """The cluster's own program, which asks the engine itself."""

    verb: Sequence[str]
    options: Sequence[str]

    def load(self, docker: Docker, image: str) -> None:
        command = [*self.verb, *self.options, image]
        if docker.dry:
            return console.say(shlex.join(command))
        if not shutil.which(command[0]):
            raise ToolMissing(f"{command[0]} is not installed, and the cluster is one of its own")
        _run(command, None)


@dataclass(frozen=True)
class _Command:
    """A command that reads an archive, as `docker save` writes it."""

    command: Sequence[str]

    def load(self, docker: Docker, image: str) -> None:
        if docker.dry:
            return console.say(f"docker save {image} | {shlex.join(self.command)}")
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "image.tar"
            docker.save(image, archive)
            _run(self.command, archive)


class _Nothing:
    """The cluster runs on the engine's own images."""

    def load(self, docker: Docker, image: str) -> None:
        pass


def _run(command: Sequence[str], archive: Path | None) -> None:
    if not shutil.which(command[0]):
        raise ToolMissing(f"{command[0]} is not installed; kubernetes.image_loader names it")
    with (archive or Path("/dev/null")).open("rb") as given:
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)  # noqa: S603 - configured
    if done.returncode != 0:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise ToolFailed(f"{shlex.join(command)} failed (exit code {done.returncode}): {words}")

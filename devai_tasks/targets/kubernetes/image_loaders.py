"""Images from the engine of this machine into a cluster that has no registry."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from devai_tasks.system import console, process

if TYPE_CHECKING:
    from devai_tasks.engine.docker import Docker


class Loader(Protocol):
    """A way into a cluster."""

    def load(self, docker: Docker, image: str) -> None:
        """Have an image of the engine in the cluster. Raises MissingToolError or ToolError."""


def find(loader: str, context: str) -> Loader | None:
    """The way that is configured; for `auto`, the one that a context's name tells, if it does."""
    if loader != "auto":
        return _Program(shlex.split(loader), "kubernetes.image_loader names it", reads=True)
    own = "the cluster is one of its own"
    if match := re.fullmatch(r"kind-(.+)", context):
        return _Program(("kind", "load", "image-archive", f"--name={match[1]}"), own)
    if match := re.fullmatch(r"k3d-(.+)", context):
        return _Program(("k3d", "image", "import", f"--cluster={match[1]}"), own)
    if re.fullmatch(r"minikube\S*", context):
        return _Program(("minikube", "image", "load", f"--profile={context}"), own)
    if context in ("docker-desktop", "docker-for-desktop", "rancher-desktop", "orbstack"):
        return _Nothing()
    return None


@dataclass(frozen=True)
class _Program:
    """A program that takes an archive, as `docker save` writes it."""

    command: Sequence[str]
    why: str
    """What it is that wants the program."""
    reads: bool = False
    """Whether the archive is its standard input, and not its last word."""

    def load(self, docker: Docker, image: str) -> None:
        if docker.dry:
            console.say(f"docker save --output=image.tar {image}")
            return console.say(self._line("image.tar"))
        program = process.require(self.command[0], self.why)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "image.tar"
            docker.save(image, archive)
            argv = [program, *self.command[1:], *([] if self.reads else [str(archive)])]
            with archive.open("rb") as content:
                process.run(argv, stdin=content).check(self._line(str(archive)))

    def _line(self, archive: str) -> str:
        return shlex.join(self.command) + (" <" if self.reads else " ") + shlex.quote(archive)


class _Nothing:
    """The cluster runs on the engine's own images."""

    def load(self, docker: Docker, image: str) -> None:
        pass

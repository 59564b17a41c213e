"""Loading of images from this machine's engine into a cluster without a registry."""

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
    """Loads images into a cluster."""

    def load(self, docker: Docker, image: str) -> None:
        """Load an image of the engine into the cluster.

        Raises:
            MissingToolError: the program that loads images is not installed.
            ToolError: loading failed.
        """


def find(loader: str, context: str) -> Loader | None:
    """Return the configured loader; for `auto` the one for the context's name, None if the name is not recognized."""
    if loader != "auto":
        return _Program(shlex.split(loader), "kubernetes.image_loader refers to it", reads=True)
    reason = "it manages this cluster"
    if match := re.fullmatch(r"kind-(.+)", context):
        return _Program(("kind", "load", "image-archive", f"--name={match[1]}"), reason)
    if match := re.fullmatch(r"k3d-(.+)", context):
        return _Program(("k3d", "image", "import", f"--cluster={match[1]}"), reason)
    if re.fullmatch(r"minikube\S*", context):
        return _Program(("minikube", "image", "load", f"--profile={context}"), reason)
    if context in ("docker-desktop", "docker-for-desktop", "rancher-desktop", "orbstack"):
        return _Nothing()
    return None


@dataclass(frozen=True)
class _Program:
    """A program that loads an archive written by `docker save`."""

    command: Sequence[str]
    why: str
    """Why the program is needed."""
    reads: bool = False
    """Whether the program reads the archive from standard input; otherwise its path is the last argument."""

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
    """For clusters that share the engine's images: nothing to load."""

    def load(self, docker: Docker, image: str) -> None:
        pass

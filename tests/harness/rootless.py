"""Engines that a person runs without being root, Podman and Docker, each in a view of this machine of their own.

The person exists in that view only (`rootless.sh`), and all that they started ends with it. Their tasks may read what
is root's, for there the interpreter of the tests may be; their engines may not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import debian
from harness.engine import wait_for
from harness.podman import PACKAGES, SETTINGS
from harness.prerequisites import skip_or_fail
from harness.stack import UID  # as in rootless.sh

SCRIPT = Path(__file__).with_name("rootless.sh")
_PACKAGES = {"podman": PACKAGES, "docker": ["rootlesskit"]}


@dataclass(frozen=True)
class RootlessUser:
    """Somebody without root, and the engine that is theirs."""

    folder: Path
    first_process: int
    socket: str

    def inv(self, *arguments: str, project: Path) -> subprocess.CompletedProcess[str]:
        """A task in a folder of theirs."""
        program = str(Path(sys.executable).with_name("inv"))
        reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return subprocess.run(
            [*self._words(project, *reading), program, *arguments],
            env={**self.environ(), "DOCKER_HOST": self.socket},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A program of theirs, which says all in the folder's log."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._words(self.folder / "home"), *command],
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def environ(self) -> dict[str, str]:
        """What a login gives them, and where Podman finds its settings."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "XDG_"))},
            "HOME": str(self.folder / "home"),
            "USER": "lab",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def _words(self, folder: Path, *options: str) -> list[str]:
        enter = ["nsenter", f"--target={self.first_process}", "--mount", "--pid", f"--wd={folder}", "--"]
        return [*enter, "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *options]


@contextmanager
def rootless_user(engine: str) -> Iterator[RootlessUser]:
    """Somebody whose engine, `podman` or `docker`, answers."""
    if os.geteuid() != 0:
        skip_or_fail("a person of one's own needs root")
    debian.install(*_PACKAGES[engine], "uidmap", "slirp4netns")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"devai-{engine}-", dir="/var/tmp")))
        folder.chmod(0o755)
        _write(folder)
        own = RootlessUser(folder, stack.enter_context(_view(folder)), f"unix://{folder}/run/engine.sock")
        stack.enter_context(_serving(own, engine))
        yield own


def _write(folder: Path) -> None:
    """Their home, and what Podman is told where no systemd is."""
    for name in ("home", "run"):
        (folder / name).mkdir(mode=0o700)
        os.chown(folder / name, UID, UID)
    (folder / "containers.conf").write_text(SETTINGS, encoding="utf-8")
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/home/graph"\nrunroot = "{folder}/run/storage"\n'
    (folder / "storage.conf").write_text(storage, encoding="utf-8")


@contextmanager
def _view(folder: Path) -> Iterator[int]:
    """The first process of their view."""
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private", "--mount-proc"]
    with subprocess.Popen(
        [*unshare, "sh", "-eu", str(SCRIPT), str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
            yield int(children.split()[0])
        finally:
            process.kill()


@contextmanager
def _serving(own: RootlessUser, engine: str) -> Iterator[None]:
    with own.start(*(_PODMAN if engine == "podman" else _docker(own.folder)), own.socket) as process:
        try:
            wait_for(own.socket, process, own.folder / "log")
            yield
        finally:
            process.kill()  # who has entered the view; what was started there ends with that


_PODMAN = ["podman", "system", "service", "--time=0"]


def _docker(folder: Path) -> list[str]:
    """As dockerd-rootless.sh starts it (https://docs.docker.com/engine/security/rootless/); its socket follows."""
    network = ["--net=slirp4netns", "--mtu=65520", "--disable-host-loopback", "--port-driver=builtin"]
    view = ["--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", f"--state-dir={folder}/run/rootlesskit"]
    places = ["--data-root=home/docker", "--exec-root=run/docker", "--pidfile=run/docker.pid"]
    daemon = " ".join(place.replace("=", f"={folder}/") for place in places)
    # In the copy of /run, these are links to root's own.
    words = f'rm -rf /run/docker /run/containerd /run/xtables.lock; exec dockerd {daemon} --host="$0"'
    return ["rootlesskit", *network, *view, "sh", "-c", words]

"""Rootless engines, Podman and Docker, each of a user in separate mount and PID namespaces.

The user exists only in these namespaces (`rootless.sh`), and the kernel stops the user's processes with the namespaces.
The user's tasks may read root's files, since the tests' Python may be among these; the user's engines may not.
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
    """A user without root privileges, and the user's engine."""

    folder: Path
    first_process: int
    socket: str

    def inv(self, *arguments: str, project: Path) -> subprocess.CompletedProcess[str]:
        """Run a task as the user in a project."""
        program = str(Path(sys.executable).with_name("inv"))
        reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return subprocess.run(
            [*self._command_as_user(project, *reading), program, *arguments],
            env={**self.environ(), "DOCKER_HOST": self.socket},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program as the user; the folder's log receives its output."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._command_as_user(self.folder / "home"), *command],
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def environ(self) -> dict[str, str]:
        """Return the environment of a login, with the locations of Podman's settings."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "XDG_"))},
            "HOME": str(self.folder / "home"),
            "USER": "lab",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def _command_as_user(self, folder: Path, *options: str) -> list[str]:
        enter = ["nsenter", f"--target={self.first_process}", "--mount", "--pid", f"--wd={folder}", "--"]
        return [*enter, "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *options]


@contextmanager
def rootless_user(engine: str) -> Iterator[RootlessUser]:
    """Create a user whose engine, `podman` or `docker`, is ready."""
    if os.geteuid() != 0:
        skip_or_fail("creating a user needs root")
    debian.install(*_PACKAGES[engine], "uidmap", "slirp4netns")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"devai-{engine}-", dir="/var/tmp")))
        folder.chmod(0o755)
        _write(folder)
        user = RootlessUser(folder, stack.enter_context(_namespaces(folder)), f"unix://{folder}/run/engine.sock")
        stack.enter_context(_serving(user, engine))
        yield user


def _write(folder: Path) -> None:
    """Write the user's home, and Podman's settings for machines without systemd."""
    for name in ("home", "run"):
        (folder / name).mkdir(mode=0o700)
        os.chown(folder / name, UID, UID)
    (folder / "containers.conf").write_text(SETTINGS, encoding="utf-8")
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/home/graph"\nrunroot = "{folder}/run/storage"\n'
    (folder / "storage.conf").write_text(storage, encoding="utf-8")


@contextmanager
def _namespaces(folder: Path) -> Iterator[int]:
    """Create the namespaces; yield the ID of their first process."""
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
def _serving(user: RootlessUser, engine: str) -> Iterator[None]:
    with user.start(*(_PODMAN if engine == "podman" else _docker(user.folder)), user.socket) as process:
        try:
            wait_for(user.socket, process, user.folder / "log")
            yield
        finally:
            process.kill()  # the process outside of the namespaces; the processes inside stop with the namespaces


_PODMAN = ["podman", "system", "service", "--time=0"]


def _docker(folder: Path) -> list[str]:
    """Return the command of dockerd-rootless.sh, without the socket.

    https://docs.docker.com/engine/security/rootless/
    """
    network = ["--net=slirp4netns", "--mtu=65520", "--disable-host-loopback", "--port-driver=builtin"]
    mounts = ["--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", f"--state-dir={folder}/run/rootlesskit"]
    options = ["--data-root=home/docker", "--exec-root=run/docker", "--pidfile=run/docker.pid"]
    daemon = " ".join(option.replace("=", f"={folder}/") for option in options)
    # In the copy of /run, these are links to root's files.
    script = f'rm -rf /run/docker /run/containerd /run/xtables.lock; exec dockerd {daemon} --host="$0"'
    return ["rootlesskit", *network, *mounts, "sh", "-c", script]

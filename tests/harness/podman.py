"""Podman with a socket that is compatible with Docker's, and with temporary storage."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import debian
from harness.engine import wait_for
from harness.prerequisites import skip_or_fail

# Debian only recommends aardvark-dns, which services need to resolve each other's names.
PACKAGES = ["podman", "netavark", "aardvark-dns"]
# For machines without systemd. Image builds use the machine's own network, where they reach its name servers.
SETTINGS = '[engine]\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\n[containers]\nnetns = "host"\n'
# A machine that is itself a container may not allow Podman's default limits; lower limits have to be set.
_NPROC, _NOFILE = (
    min(resource.getrlimit(limit)[1], 16384) for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)
)
LIMITS = (f"--ulimit=nofile={_NOFILE}", f"--ulimit=nproc={_NPROC}")
# The kernel stops all processes of these namespaces when the tests stop, even if the tests are killed. /run/containers
# is private too: root's Podman keeps the names of its DNS server there, independently of the storage.
_NAMESPACES = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
_SERVE = """
mkdir --parents /run/containers
mount -t tmpfs tmpfs /run/containers
podman system service --time=0 "$0" &
wait "$!"
"""
OVERRIDE = f"""
x-limits: &limits
  ulimits: {{nofile: {_NOFILE}, nproc: {_NPROC}}}
services:
  devai: *limits
  ollama: *limits
"""


@contextmanager
def podman() -> Iterator[str]:
    """Run Podman's service; yield the address of its socket."""
    if os.geteuid() != 0:
        skip_or_fail("starting an engine needs root")
    debian.install(*PACKAGES)
    _remove_port_forwards()
    folder = Path(tempfile.mkdtemp(prefix="devai-podman-", dir="/var/tmp"))
    (folder / "containers.conf").write_text(SETTINGS, encoding="utf-8")
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n', encoding="utf-8"
    )
    environ = {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    socket = f"unix://{folder}/podman.sock"
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "unshare", *_NAMESPACES, "sh", "-eu", "-c", _SERVE, socket],
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(socket, service, folder / "log")
        yield socket
    finally:
        for arguments in (["rm", "--all", "--force"], ["network", "prune", "--force"]):
            remote = ["podman", "--remote", f"--url={socket}", *arguments]
            subprocess.run(remote, env=environ, capture_output=True, check=False)
        service.kill()
        service.wait()
        _remove_port_forwards()
        shutil.rmtree(folder)


def _remove_port_forwards() -> None:
    """Remove rules that forward ports of this machine to containers of tests.

    A killed Podman leaves its rules, and a program that later listens on such a port cannot be reached.
    """
    table = ("iptables", "-w", "-t", "nat")
    listed = subprocess.run([*table, "-S", "NETAVARK-HOSTPORT-DNAT"], capture_output=True, text=True, check=False)
    for rule in listed.stdout.splitlines():
        if "dnat name: devai-test" in rule:
            _, *arguments = shlex.split(rule)
            subprocess.run([*table, "-D", *arguments], check=True)

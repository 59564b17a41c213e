"""The engine that tests use, and a newer one of their own beside it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import debian
from harness.prerequisites import skip_or_fail

REPOSITORY = Path(__file__).parents[2]


def docker(*words: str, engine: str = "") -> str:
    """What the docker command line prints."""
    command = ["docker", *(["--host", engine] if engine else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def transfer_image(image: str, names: Sequence[str], socket: str) -> None:
    """Give another engine an image of this one, under names that are asked for there."""
    load = ["docker", "--host", socket, "load"]
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        loaded = subprocess.run(load, stdin=saved.stdout, capture_output=True, text=True, check=True).stdout
    here = loaded.rpartition("Loaded image: ")[2].strip()  # Podman puts localhost/ in front
    for name in names:
        docker("tag", here, name, engine=socket)


def wait_for(socket: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an engine that was just started answers; one that ends or stays silent is a failure."""
    for _ in range(300):
        asked = subprocess.run(["docker", "--host", socket, "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def require_engine() -> None:
    """End what needs an engine where there is none."""
    found = shutil.which("docker")
    if not found or subprocess.run([found, "version"], capture_output=True, check=False).returncode:
        skip_or_fail("no container engine answers: scripts/bootstrap.sh")


@contextmanager
def newer_engine() -> Iterator[str]:
    """The address of an engine that keeps images in containerd, which Debian's own doesn't before release 13.

    Its builder gives files the time that it is told, exports caches, and builds for several platforms.
    """
    if os.geteuid() != 0:
        skip_or_fail("an engine of one's own needs root")
    files = debian.unpacked("docker.io", "containerd")
    folder = Path(tempfile.mkdtemp(prefix="devai-"))  # sockets have short paths
    # In memory: what an engine writes and removes again takes a disk longer than the builds.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", folder], check=True)
    (folder / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}', encoding="utf-8")
    path = f"{files}/usr/sbin:{files}/usr/bin:{os.environ['PATH']}"
    environ = {**os.environ, "DEVAI_ENGINE_DIR": str(folder), "PATH": path}
    script = str(REPOSITORY / "scripts/engine.sh")
    try:
        subprocess.run([script, "start"], env=environ, stdin=subprocess.DEVNULL, check=True)
        yield f"unix://{folder}/run/docker.sock"
    finally:
        subprocess.run([script, "stop"], env=environ, stdin=subprocess.DEVNULL, check=True)
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def copy_image(name: str, target: str) -> None:
    """Give another engine an image."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        docker("save", "--output", str(archive), name)
        docker("load", "--input", str(archive), engine=target)


def image_files(image: str, engine: str = "") -> dict[str, tuple[object, ...]]:
    """All files of an image: kind, mode, owner and a hash of the content, but not the time.

    Read by a tar in the image, as `docker export` doesn't show the same with every engine; what an engine puts into a
    container is not the image's.
    """
    engines_own = (".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf")
    command = [
        "docker", *(["--host", engine] if engine else []), "run", "--rm", "--user=0", "--network=none",
        "--entrypoint=tar", image, "-C", "/", *(f"--exclude=./{path}" for path in engines_own), "-c", ".",
    ]  # fmt: skip
    found: dict[str, tuple[object, ...]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isfile() else None
                digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
                found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, digest)
        process.stdout.read()  # tar fills its last block; closed before that, docker fails with a broken pipe
    assert process.returncode == 0
    return found


def image_names(repository: str) -> list[str]:
    """The names that the engine has images by, in repositories of a pattern."""
    listed = docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={repository}")
    return [name for name in listed.split() if not name.endswith(":<none>")]


def inspect(image: str, engine: str = "") -> dict[str, object]:
    """What the engine knows of an image."""
    found: dict[str, object] = json.loads(docker("image", "inspect", image, engine=engine))[0]
    return found

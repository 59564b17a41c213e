"""The container engine that tests use, and a newer engine that tests start."""

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


def docker(*arguments: str, engine: str = "") -> str:
    """Run the docker command line; return its output."""
    command = ["docker", *(["--host", engine] if engine else []), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(arguments)}: {result.stderr}"
    return result.stdout.strip()


def transfer_image(image: str, names: Sequence[str], socket: str) -> None:
    """Copy an image to another engine and tag it there with the given names."""
    load = ["docker", "--host", socket, "load"]
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        loaded = subprocess.run(load, stdin=saved.stdout, capture_output=True, text=True, check=True).stdout
    loaded_name = loaded.rpartition("Loaded image: ")[2].strip()  # Podman adds the prefix localhost/
    for name in names:
        docker("tag", loaded_name, name, engine=socket)


def wait_for(socket: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a starting engine answers; raise AssertionError with its log if it exits or is not ready in time."""
    for _ in range(300):
        result = subprocess.run(["docker", "--host", socket, "version"], capture_output=True, check=False)
        if result.returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def require_engine() -> None:
    """Skip or fail a test if no engine answers."""
    program = shutil.which("docker")
    if not program or subprocess.run([program, "version"], capture_output=True, check=False).returncode:
        skip_or_fail("no container engine answers: scripts/bootstrap.sh")


@contextmanager
def newer_engine() -> Iterator[str]:
    """Run an engine that stores images in containerd; yield its address.

    Debian's own engine stores images in containerd from release 13 on.
    The engine's builder sets files' times as requested, exports caches, and builds for several platforms.
    """
    if os.geteuid() != 0:
        skip_or_fail("starting an engine needs root")
    files = debian.unpacked("docker.io", "containerd")
    folder = Path(tempfile.mkdtemp(prefix="devai-"))  # paths of sockets are limited in length
    # In memory: on a disk, writing and removing the engine's files takes longer than the builds.
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
    """Copy an image to another engine."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        docker("save", "--output", str(archive), name)
        docker("load", "--input", str(archive), engine=target)


def image_files(image: str, engine: str = "") -> dict[str, tuple[object, ...]]:
    """Return type, mode, owner and content hash of all files of an image by path, without their times.

    The image's own tar reads the files, because the output of `docker export` differs by engine. Files that an engine
    adds to containers are left out.
    """
    added_by_engine = (".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf")
    command = [
        "docker", *(["--host", engine] if engine else []), "run", "--rm", "--user=0", "--network=none",
        "--entrypoint=tar", image, "-C", "/", *(f"--exclude=./{path}" for path in added_by_engine), "-c", ".",
    ]  # fmt: skip
    files: dict[str, tuple[object, ...]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isfile() else None
                digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
                files[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, digest)
        process.stdout.read()  # the padding after the archive's end: without this docker fails with a broken pipe
    assert process.returncode == 0
    return files


def image_names(repository: str) -> list[str]:
    """Return the names of the engine's images in repositories that match a pattern."""
    listed = docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={repository}")
    return [name for name in listed.split() if not name.endswith(":<none>")]


def inspect(image: str, engine: str = "") -> dict[str, object]:
    """Return the result of `docker image inspect`."""
    attributes: dict[str, object] = json.loads(docker("image", "inspect", image, engine=engine))[0]
    return attributes

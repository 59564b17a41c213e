"""Backup and restore of the lab's home directory as an archive, on every target."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from devai_tasks import clouds
from devai_tasks.config.naming import LAB
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.system import console, http, user_files
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets import addresses
from devai_tasks.targets.compose import deployment as lab
from devai_tasks.targets.compose import rendering as compose
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.workspace import backup_files, tls, work_dir

# Paths that deploy/image/devai_home.py serves.
_BACKUP, _RESTORE = "devai/home.tar.gz", "devai/restore"


@dataclass(frozen=True)
class Backup:
    """A completed backup."""

    size: int
    content: backup_files.Content
    checksum: Path
    left_out: Mapping[str, str]
    """Paths in the home that are mounted and therefore not in the archive, each with the reason."""


@dataclass(frozen=True)
class Skipped:
    """Entries of an archive that were not restored for one reason, with some of their names."""

    reason: str
    count: int
    names: Sequence[str]


@dataclass(frozen=True)
class Restored:
    """The lab's report of a restore."""

    files: int
    bytes: int
    skipped: Sequence[Skipped]


def backup(
    project: Project, settings: Settings, file: Path, *, in_cluster: bool = False, dry: bool = False
) -> Backup | None:
    """Write the home directory to an archive; return None under `--dry`.

    With `in_cluster`, a stack of this machine uses the lab in its local cluster instead of the lab in Compose.

    Raises:
        UsageError: the file exists, or its folder does not.
        DevaiError: the lab does not answer, or sends an incomplete archive; no file is left then.
    """
    shared = work_dir.shared(project, settings)
    backup_files.check_free(file, shared)
    with (
        _endpoint(project, settings, _BACKUP, in_cluster=in_cluster, dry=dry) as home,
        console.step(f"backing {settings.stack} up to {file}"),
    ):
        if dry:
            console.say(http.curl(home, f"--output={file}"))
            return None
        with user_files.new(file, shared, 0o600) as archive:
            headers = http.download(home, archive)
            size = archive.tell()
            with console.waiting("verifying the archive"):
                content, digest = backup_files.verify(archive), backup_files.digest(archive)
        checksum = backup_files.write_checksum(file, shared, digest)
    left_out = {unquote(name): "is mounted there" for name in headers.get("Devai-Mounts", "").split(", ") if name}
    if settings.compute.uses_compose and not in_cluster:
        # An older image does not report its mounts.
        left_out["work"] = f"is the folder {settings.storage.work_dir} of this machine (storage.work_dir)"
    return Backup(size, content, checksum, left_out)


@contextmanager
def opened(project: Project, settings: Settings, file: Path) -> Iterator[BufferedReader]:
    """Open an archive to restore, so that the verified file is the one that is sent.

    Raises:
        UsageError: the file is missing, or larger than the stack's platform accepts.
        DevaiError: the file does not match its checksum.
    """
    shared = work_dir.shared(project, settings)
    with user_files.opened(file, shared) as archive:
        clouds.of(settings).check_upload(settings, file, os.fstat(archive.fileno()).st_size)
        with console.waiting(f"verifying {file}"):
            backup_files.check_sum(archive, shared)
        yield archive


def restore(
    project: Project, settings: Settings, archive: BufferedReader, *, in_cluster: bool = False, dry: bool = False
) -> Restored | None:
    """Restore the files of an opened archive into the home directory.

    Files of the same name are replaced, all other files are kept. Returns the lab's report; None under `--dry`.
    """
    with (
        _endpoint(project, settings, _RESTORE, in_cluster=in_cluster, dry=dry) as home,
        console.step(f"restoring {settings.stack} from {archive.name}"),
    ):
        if dry:
            console.say(http.curl(home, f"--upload-file={archive.name}"))
            return None
        archive.seek(0)
        return _restored(http.upload(home, archive))


def _restored(report: Mapping[str, Any]) -> Restored:
    try:
        skipped = [
            Skipped(str(entry["reason"]), int(entry["count"]), [str(name) for name in entry["names"]])
            for entry in report["skipped"]
        ]
        return Restored(int(report["files"]), int(report["bytes"]), skipped)
    except (LookupError, TypeError, ValueError) as error:
        raise DevaiError(
            "the lab's report can't be read", hint="check the lab's home for the restored files"
        ) from error


@contextmanager
def _endpoint(project: Project, settings: Settings, path: str, *, in_cluster: bool, dry: bool) -> Iterator[http.Server]:
    """Yield the URL and token of a path on the lab's server, while the lab runs; under `--dry` without the token."""
    try:
        with _server(project, settings, in_cluster=in_cluster, dry=dry) as server:
            yield replace(server, url=f"{server.url}{path}")
    except http.RefusalError as refusal:
        up = f"`inv up {settings.stack.flags}`"
        match refusal.status:
            case 403:
                hint = f"{up} starts the lab with the token of this stack"
                raise DevaiError(refusal.message, hint=hint, code="DEVAI-LAB-002") from refusal
            case 404:
                message = f"{refusal.message}; the lab's image is older than this command"
                raise DevaiError(message, hint=f"{up} replaces it", code="DEVAI-LAB-004") from refusal
        raise


@contextmanager
def _server(project: Project, settings: Settings, *, in_cluster: bool, dry: bool) -> Iterator[http.Server]:
    if settings.compute.uses_compose and not in_cluster:
        link = f"{compose.url(settings)}?token=" if dry else lab.link(project, settings, Docker())
        address, _, token = link.partition("lab?token=")
        certificate = project.state(settings.stack) / tls.CERTIFICATE if settings.tls.local else None
        yield http.Server(address, token, certificate, direct=True)
    elif settings.compute.uses_kubernetes:
        cluster = Cluster(project, settings, dry=dry)
        cluster.kubectl.check_context()
        with kubernetes.port_of(cluster, LAB) as port:
            url = f"http://127.0.0.1:{port or 'PORT'}{settings.network.base_url}"
            yield http.Server(url, kubernetes.token(cluster), direct=True)
    else:
        address = addresses.url(settings) or _load_balancer(project, settings, dry=dry)
        yield http.Server(address, clouds.terraform_of(settings).token(settings, dry=dry))


def _load_balancer(project: Project, settings: Settings, *, dry: bool) -> str:
    """Return the address of a lab without a host name, from Terraform's outputs; under `--dry` a placeholder."""
    with terraform.work(project, settings, dry=dry, looking=True) as work:
        terraform.prepare(work)
        url = work.tool.outputs().get("url")
    if not (url or dry):
        raise UsageError(f"{settings.stack} has no address yet", hint=f"`inv up {settings.stack.flags}` brings it up")
    return str(url or "URL/")

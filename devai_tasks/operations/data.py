"""People's files: the home of a stack's lab out of it as one archive, and into it again, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devai_tasks import console
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import UsageError
from devai_tasks.operations import addresses, certificates, clouds, cluster, lab, terraform
from devai_tasks.operations.cluster import Cluster
from devai_tasks.render import compose
from devai_tasks.render import terraform as definition
from devai_tasks.render.kubernetes import LAB
from devai_tasks.tools import site

# What deploy/image/devai_home.py answers.
_PATH = "devai/home.tar.gz"
# What Cloud Run takes in one request by HTTP/1, and Jupyter's server knows no other; what it sends has no limit.
_MOST = 32 * 2**20


def backup(project: Project, settings: Settings, file: Path, *, in_cluster: bool = False, dry: bool = False) -> int:
    """Write the home to an archive; returns its size in bytes.

    `in_cluster` means the lab that a stack of this machine has in its local cluster, and not the one of Compose.
    Raises UsageError where the file is there already or has no folder, DevaiError where the lab doesn't answer.
    """
    if file.exists():
        raise UsageError(f"{file} is there already; another --file, or remove it first")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}; make it, or name another --file")
    with (
        _reached(project, settings, in_cluster=in_cluster, dry=dry) as home,
        console.step(f"backing {settings.stack} up to {file}"),
    ):
        return site.download(home, file, dry=dry)


def check(settings: Settings, file: Path) -> None:
    """Raise UsageError for an archive that is not there, or that the stack's platform would not let through."""
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    compute, size = settings.compute, file.stat().st_size
    if (compute.provider, compute.platform) == ("gcp", "simple") and size > _MOST:
        raise UsageError(
            f"{file} has {size / 2**20:.0f} MiB, and Cloud Run takes {_MOST >> 20} MiB at once; unpack it, and send "
            "the files to the bucket that the home is: `gcloud storage rsync --recursive FOLDER "
            f"gs://{definition.unique(settings)}`"
        )


def restore(project: Project, settings: Settings, file: Path, *, in_cluster: bool = False, dry: bool = False) -> None:
    """Put the files of an archive into the home: those of the same name are replaced, all others stay."""
    with (
        _reached(project, settings, in_cluster=in_cluster, dry=dry) as home,
        console.step(f"restoring {settings.stack} from {file}"),
    ):
        site.upload(home, file, dry=dry)


@contextmanager
def _reached(project: Project, settings: Settings, *, in_cluster: bool, dry: bool) -> Iterator[site.Server]:
    """Where the home is to be had while the lab runs; under `--dry` without its token."""
    if settings.compute.provider == "local" and not in_cluster:
        link = f"{compose.url(settings)}?token=" if dry else lab.link(project, settings)
        address, _, token = link.partition("lab?token=")
        certificate = project.state(settings.stack) / certificates.CERTIFICATE if settings.tls.local else None
        yield site.Server(f"{address}{_PATH}", token, certificate)
    elif settings.compute.platform == "kubernetes":
        own = Cluster(project, settings, dry=dry)
        own.kubectl.check_context()
        with cluster.port_of(own, LAB) as port:
            yield site.Server(
                f"http://127.0.0.1:{port or 'PORT'}{settings.network.base_url}{_PATH}", cluster.token(own)
            )
    else:
        address = addresses.url(settings) or _load_balancer(project, settings, dry=dry)
        yield site.Server(f"{address}{_PATH}", clouds.token(settings, dry=dry))


def _load_balancer(project: Project, settings: Settings, *, dry: bool) -> str:
    """The address of a lab without a host name, which only Terraform knows; under `--dry` what stands for it."""
    with terraform.work(project, settings, dry=dry, looking=True) as work:
        terraform.prepare(work)
        found = work.tool.outputs().get("url")
    if not (found or dry):
        raise UsageError(f"{settings.stack} has no address yet; `inv up {settings.stack.flags}` brings it up")
    return str(found or "URL/")

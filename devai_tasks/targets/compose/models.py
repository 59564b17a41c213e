"""The models of a stack on this machine: its Ollama, and archives of its models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.models import archive
from devai_tasks.models.ollama import PORT, Ollama, host
from devai_tasks.system import user_files
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.workspace import work_dir

# In the container, a connection to Ollama that ends with the first of both; Ollama notices at once who is gone.
_RELAY = """
$| = 1;
my $ollama = IO::Socket::INET->new("127.0.0.1:11434") or exit 1;
my $answering = fork // exit 1;
if ($answering) {
    while (sysread STDIN, my $block, 65536) { print {$ollama} $block or last }
    shutdown $ollama, 1;
    waitpid $answering, 0;
    exit;
}
while (sysread $ollama, my $block, 65536) { print $block or last }
kill TERM => getppid;
"""


@contextmanager
def server(project: Project, settings: Settings, docker: Docker) -> Iterator[Ollama]:
    """The stack's Ollama, as this machine reaches it: where it has no port here, through its container."""
    if not (settings.ollama.is_bundled and settings.ports.ollama is None) or docker.dry:
        yield Ollama(url(settings), start_hint(settings), dry=docker.dry)
        return
    relay = ("perl", "-MIO::Socket::INET", "-e", _RELAY)
    with compose.compose(project, settings, docker).tunnel(naming.OLLAMA, relay) as socket:
        yield Ollama(url(settings), start_hint(settings), socket=socket)


def url(settings: Settings) -> str:
    """Where this machine, and not the lab, finds the stack's Ollama; where it doesn't, the lab's own address."""
    match settings.ollama.mode:
        case "external":
            return settings.ollama.url
        case "host":
            return f"http://{host()}:{PORT}"
        case _ if settings.ports.ollama:
            return f"http://127.0.0.1:{settings.ports.ollama}"
        case _:
            return settings.ollama.address


def start_hint(settings: Settings) -> str:
    """What starts the stack's Ollama where none answers."""
    match settings.ollama.mode:
        case "external":
            return "start it there, or see ollama.url"
        case "host":
            return "`ollama serve` starts it"
        case _:
            return f"`inv compose.up {settings.stack.flags}` starts it"


def export(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Write all models of the running stack to a file: see `model_archive.save`.

    Raises UsageError where the file exists already, or the models are another server's.
    """
    shared = work_dir.shared(project, settings)
    user_files.check_free(file, shared)
    _check_bundled(settings)
    containers = compose.compose(project, settings, docker)
    archive.save(containers, server(project, settings, docker), file, shared)


def restore(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Give the running stack the models of a file: see `model_archive.restore`.

    Raises UsageError where the models are another server's.
    """
    _check_bundled(settings)
    containers = compose.compose(project, settings, docker)
    shared = work_dir.shared(project, settings)
    archive.restore(containers, server(project, settings, docker), file, shared)


def _check_bundled(settings: Settings) -> None:
    if not settings.ollama.is_bundled:
        raise UsageError(
            f"ollama.mode is {settings.ollama.mode}: the models are another server's",
            hint="`inv models.pull` brings it more",
        )

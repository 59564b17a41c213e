"""Models of a stack on this machine: access to its Ollama, and archives of its models."""

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

# Runs in the container and forwards a connection to Ollama until either side closes it, so that Ollama notices at once
# when a client disconnects.
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
    """Yield a client for the stack's Ollama; without a published port it connects through the container."""
    if not (settings.ollama.is_bundled and settings.ports.ollama is None) or docker.dry:
        yield Ollama(url(settings), start_hint(settings), dry=docker.dry)
        return
    relay = ("perl", "-MIO::Socket::INET", "-e", _RELAY)
    with compose.compose(project, settings, docker).tunnel(naming.OLLAMA, relay) as socket:
        yield Ollama(url(settings), start_hint(settings), socket=socket)


def url(settings: Settings) -> str:
    """Return the URL of the stack's Ollama as seen from this machine; if it has none, the lab's URL for it."""
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
    """Return the hint for an Ollama that does not answer."""
    match settings.ollama.mode:
        case "external":
            return "start it there, or change ollama.url"
        case "host":
            return "`ollama serve` starts it"
        case _:
            return f"`inv compose.up {settings.stack.flags}` starts it"


def export(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Write all models of the running stack to a file: see `archive.save`.

    Raises:
        UsageError: the file exists already, or Ollama is not part of the stack.
    """
    shared = work_dir.shared(project, settings)
    user_files.check_free(file, shared)
    _check_bundled(settings)
    containers = compose.compose(project, settings, docker)
    archive.save(containers, server(project, settings, docker), file, shared)


def restore(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Load the models of a file into the running stack: see `archive.restore`.

    Raises:
        UsageError: Ollama is not part of the stack.
    """
    _check_bundled(settings)
    containers = compose.compose(project, settings, docker)
    shared = work_dir.shared(project, settings)
    archive.restore(containers, server(project, settings, docker), file, shared)


def _check_bundled(settings: Settings) -> None:
    if not settings.ollama.is_bundled:
        raise UsageError(
            f"ollama.mode is {settings.ollama.mode}: the models belong to a server outside the stack",
            hint="`inv models.pull` pulls models to that server",
        )

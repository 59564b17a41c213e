"""Docker Compose, controlled through python-on-whales."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException

from devai_tasks.engine.docker import Cli, describe_container
from devai_tasks.system import console, process

Recreate = Literal["nothing", "changed", "all"]


class Compose(Cli):
    """A Compose project. Its files, profiles and name come from its environment file."""

    def __init__(self, env_file: Path, *, dry: bool = False) -> None:
        super().__init__(dry=dry)
        # Only the environment file counts: in Compose, variables of the user's shell would take precedence over it.
        names = re.findall(r"^(\w+)=", env_file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name in (*names, "COMPOSE_FILE", "COMPOSE_ENV_FILES"):
            os.environ.pop(name, None)
        self._client = DockerClient(client_call=self._call, client_type="docker", compose_env_files=[env_file])
        # Services of a disabled profile may still exist, and Compose would ignore them without `--profile=*`.
        self._everything = DockerClient(
            client_call=self._call, client_type="docker", compose_env_files=[env_file], compose_profiles=["*"]
        )

    def up(self, *, timeout: int, wait: bool = True, recreate: Recreate = "changed") -> None:
        """Create or recreate containers.

        Args:
            timeout: seconds to wait until all services are healthy.
            wait: whether to wait until all services are healthy.
            recreate: which existing containers are recreated.
        """
        with self._running("docker compose up"):
            output = self._client.compose.up(
                detach=True,
                recreate=recreate != "nothing",
                force_recreate=recreate == "all",
                wait=wait,
                wait_timeout=timeout if wait else None,
                remove_orphans=True,
                stream_logs=True,
            )
            console.follow("starting", (line.decode(errors="replace").strip() for _, line in output))

    def down(self, *, volumes: bool = False) -> None:
        """Remove containers and networks, with `volumes` also the data."""
        with self._running("docker compose down"):
            self._everything.compose.down(volumes=volumes, remove_orphans=True)

    def remove(self, services: Sequence[str]) -> None:
        """Stop services and remove their containers; keep volumes."""
        with self._running("docker compose rm"):
            self._everything.compose.rm(list(services), stop=True)

    def restart(self, services: Sequence[str]) -> None:
        """Restart services; an empty sequence restarts all."""
        with self._running("docker compose restart"):
            self._client.compose.restart(list(services) or None)

    def stop(self) -> None:
        """Stop all services; keep containers for `start`."""
        with self._running("docker compose stop"):
            self._everything.compose.stop()

    def planned_actions(self) -> dict[str, str]:
        """Return the action of `up` for each container, by name, without changing anything.

        The actions are Running, Create, Recreate or Starting, as `docker compose --dry-run` prints them. All images
        must exist.
        """
        output = ""
        with self._running("docker compose up"):
            options = ("--detach", "--no-build", "--pull=never", "--remove-orphans")
            output = self._completed("compose", "--dry-run", *self._options(), "up", *options).stderr
        # The first line of a container names the action; later lines report its progress.
        actions: dict[str, str] = {}
        for name, action in re.findall(r"DRY-RUN MODE -\s+Container (\S+)\s+(\w+)", output):
            actions.setdefault(name, action)
        return actions

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """Yield the log lines of services as they arrive."""
        with self._running("docker compose logs"):
            for _, line in self._everything.compose.logs(list(services), follow=follow, tail=tail, stream=True):
                yield line.decode(errors="replace").rstrip("\n")

    def execute(self, service: str, command: Sequence[str], *, user: str, workdir: str) -> int:
        """Run a command in a service, on the user's terminal if there is one; return its exit code."""
        output = None
        with self._running(f"docker compose exec {service}"):
            try:
                output = self._client.compose.execute(
                    service, list(command), user=user, workdir=workdir, tty=sys.stdin.isatty()
                )
            except DockerException as error:
                # Exit codes below 125 are the command's own. Compose exits with 1 for a service that is not running.
                if error.return_code == 1 and "is not running" in (error.stderr or ""):
                    raise
                console.pass_on(error.stdout or "")
                console.say(error.stderr or "")
                return error.return_code
        if output:
            console.pass_on(output)
        return 0

    def run_once(self, service: str, command: Sequence[str], *, capabilities: Sequence[str]) -> None:
        """Run a command in a temporary container of a service, with additional capabilities."""
        options = ["--rm", "--no-deps", "--no-TTY", "--interactive=false"]
        options += [f"--cap-add={name}" for name in capabilities]
        with self._running(f"docker compose run {service}"):
            self._call_for("compose", *self._options(), "run", *options, service, *command, stdin=b"")

    def pipe(
        self, service: str, command: Sequence[str], *, given: IO[bytes] | None = None, into: IO[bytes] | None = None
    ) -> None:
        """Run a command in a service with a file of any size as standard input or output.

        Args:
            service: the service.
            command: the command and its arguments.
            given: file for standard input (default: empty).
            into: file for standard output (default: discarded).
        """
        argv = [*self._exec(service), *command]
        with self._running(f"docker compose exec {service}"):
            result = process.run(argv, stdin=given or b"", stdout=into)
            if result.returncode:
                raise DockerException(argv, result.returncode, stderr=result.errors)

    @contextmanager
    def tunnel(self, service: str, command: Sequence[str]) -> Iterator[Path]:
        """Yield the path of a Unix socket that connects to a command in a service.

        Each connection starts the command, with the connection as its standard input and output. Only the user can
        connect. If the service is not running, connections are closed at once.
        """
        argv = [*self._exec(service), *command]
        commands = ExitStack()

        def serve() -> None:
            with suppress(OSError):  # after shutdown
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        fd = connection.fileno()
                        commands.enter_context(process.beside(argv, stdin=fd, stdout=fd, stderr=subprocess.DEVNULL))

        with (
            tempfile.TemporaryDirectory(prefix="devai-") as folder,
            socket.socket(socket.AF_UNIX) as listener,
            commands,
        ):
            path = Path(folder, "socket")
            listener.bind(str(path))
            listener.listen()
            Thread(target=serve, daemon=True).start()
            try:
                yield path
            finally:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)

    def _options(self) -> list[str]:
        """Return the options between `compose` and its command: the environment file."""
        command = self._client.client_config.docker_compose_cmd[len(self._client.docker_cmd) + 1 :]
        return [str(argument) for argument in command]

    def _exec(self, service: str) -> list[str]:
        compose = self._everything.client_config.docker_compose_cmd
        return [str(word) for word in (*compose, "exec", "--no-TTY", service)]

    def containers(self) -> list[dict[str, Any]]:
        """Return the project's containers: service, name, state, health, image, published addresses."""
        containers: list[Any] = []
        with self._running("docker compose ps"):
            containers += self._everything.compose.ps(all=True)
        return sorted((describe_container(container) for container in containers), key=lambda row: str(row["service"]))

    def config(self) -> dict[str, Any]:
        """Return the merged and interpolated definition; needs no engine."""
        definition: dict[str, Any] = {}
        with self._running("docker compose config"):
            definition.update(self._client.compose.config(return_json=True))
        return definition

"""Docker Compose, through python-on-whales."""

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
    """One Compose project: its files, profiles and name come from its environment file."""

    def __init__(self, env_file: Path, *, dry: bool = False) -> None:
        super().__init__(dry=dry)
        # That file alone decides: to Compose, a variable of the caller's shell would be stronger.
        own = re.findall(r"^(\w+)=", env_file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name in (*own, "COMPOSE_FILE", "COMPOSE_ENV_FILES"):
            os.environ.pop(name, None)
        self._client = DockerClient(client_call=self._call, client_type="docker", compose_env_files=[env_file])
        # Services of a profile that is off now may still be there, and Compose would pass them by.
        self._everything = DockerClient(
            client_call=self._call, client_type="docker", compose_env_files=[env_file], compose_profiles=["*"]
        )

    def up(self, *, timeout: int, wait: bool = True, recreate: Recreate = "changed") -> None:
        """Create what is missing, create again what `recreate` says, and with `wait` wait until all is healthy.

        That may take up to `timeout` seconds.
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
        """Remove containers and networks, with `volumes` the data too."""
        with self._running("docker compose down"):
            self._everything.compose.down(volumes=volumes, remove_orphans=True)

    def remove(self, services: Sequence[str]) -> None:
        """Stop services and remove their containers; volumes stay."""
        with self._running("docker compose rm"):
            self._everything.compose.rm(list(services), stop=True)

    def restart(self, services: Sequence[str]) -> None:
        """Restart services; none named is all."""
        with self._running("docker compose restart"):
            self._client.compose.restart(list(services) or None)

    def stop(self) -> None:
        """Stop all services; containers stay, for `start`."""
        with self._running("docker compose stop"):
            self._everything.compose.stop()

    def rehearse(self) -> dict[str, str]:
        """What `up` would do with each container, by name: Running, Create, Recreate or Starting; changes nothing.

        Compose itself says it. Every image has to be there.
        """
        said = ""
        with self._running("docker compose up"):
            options = ("--detach", "--no-build", "--pull=never", "--remove-orphans")
            said = self._completed("compose", "--dry-run", *self._options(), "up", *options).stderr
        # The first word of each is the one that tells; the others are how that goes on.
        found: dict[str, str] = {}
        for name, verb in re.findall(r"DRY-RUN MODE -\s+Container (\S+)\s+(\w+)", said):
            found.setdefault(name, verb)
        return found

    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """What services print, line by line, as it comes."""
        with self._running("docker compose logs"):
            for _, line in self._everything.compose.logs(list(services), follow=follow, tail=tail, stream=True):
                yield line.decode(errors="replace").rstrip("\n")

    def execute(self, service: str, command: Sequence[str], *, user: str, workdir: str) -> int:
        """Run a command in a service, on the caller's terminal where there is one; returns its exit code."""
        output = None
        with self._running(f"docker compose exec {service}"):
            try:
                output = self._client.compose.execute(
                    service, list(command), user=user, workdir=workdir, tty=sys.stdin.isatty()
                )
            except DockerException as error:
                # Below 125 it is the command's own; Compose gives 1 for a service that isn't there, and says so.
                if error.return_code == 1 and "is not running" in (error.stderr or ""):
                    raise
                console.pass_on(error.stdout or "")
                console.say(error.stderr or "")
                return error.return_code
        if output:
            console.pass_on(output)
        return 0

    def run_once(self, service: str, command: Sequence[str], *, capabilities: Sequence[str]) -> None:
        """Run a command in a service's container that is new, has capabilities of its own, and is gone afterwards."""
        options = ["--rm", "--no-deps", "--no-TTY", "--interactive=false"]
        options += [f"--cap-add={name}" for name in capabilities]
        with self._running(f"docker compose run {service}"):
            self._call_for("compose", *self._options(), "run", *options, service, *command, given=b"")

    def pipe(
        self, service: str, command: Sequence[str], *, given: IO[bytes] | None = None, into: IO[bytes] | None = None
    ) -> None:
        """Run a command in a service with a file as its standard input or output, of any size."""
        words = [*self._exec(service), *command]
        with self._running(f"docker compose exec {service}"):
            done = process.run(words, stdin=given or b"", stdout=into)
            if done.returncode:
                raise DockerException(words, done.returncode, stderr=done.errors)

    @contextmanager
    def tunnel(self, service: str, command: Sequence[str]) -> Iterator[Path]:
        """A socket of this machine, for its user only: each connection is input and output of a command in a service.

        Where the service doesn't run, connections end at once.
        """
        words = [*self._exec(service), *command]
        commands = ExitStack()

        def serve() -> None:
            with suppress(OSError):  # when it is no longer wanted
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        end = connection.fileno()
                        commands.enter_context(process.beside(words, stdin=end, stdout=end, stderr=subprocess.DEVNULL))

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
        """What stands between `compose` and its command: the environment file."""
        return [str(word) for word in self._client.client_config.docker_compose_cmd[len(self._client.docker_cmd) + 1 :]]

    def _exec(self, service: str) -> list[str]:
        compose = self._everything.client_config.docker_compose_cmd
        return [str(word) for word in (*compose, "exec", "--no-TTY", service)]

    def containers(self) -> list[dict[str, Any]]:
        """The project's containers: service, name, state, health, image, published addresses."""
        found: list[Any] = []
        with self._running("docker compose ps"):
            found += self._everything.compose.ps(all=True)
        return sorted((describe_container(container) for container in found), key=lambda row: str(row["service"]))

    def config(self) -> dict[str, Any]:
        """The merged and interpolated definition; needs no engine."""
        definition: dict[str, Any] = {}
        with self._running("docker compose config"):
            definition.update(self._client.compose.config(return_json=True))
        return definition

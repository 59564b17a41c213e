"""The container engine, through python-on-whales."""

from __future__ import annotations

import atexit
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from python_on_whales import DockerClient
from python_on_whales.client_config import ClientNotFoundError
from python_on_whales.exceptions import DockerException

from devai_tasks import console
from devai_tasks.errors import DevaiError, ToolFailed, ToolMissing

# How the engine and its client say what a person can do something about: words of theirs, words of ours.
_REMEDIES = (
    (
        "permission denied while trying to connect",
        "no permission on the engine's socket; `sudo usermod -aG docker $USER`, log in again, and retry",
    ),
    (
        "cannot connect to the docker daemon",
        "no container engine answers; start Docker Desktop, or `sudo systemctl start docker`",
    ),
    ("no space left on device", "the engine's disk is full; `docker system prune` removes what nothing uses"),
    (
        "could not select device driver",
        "the engine has no NVIDIA GPU; install NVIDIA's container toolkit, or drop --gpu",
    ),
    ("is unhealthy", "a service answers no health check; `inv compose.logs` shows what it says"),
    ("exited (", "a service has stopped; `inv compose.logs` shows its last words"),
    ("is not a docker command", "docker lacks its plugin; install docker compose and docker buildx"),
)


class _Cli:
    """The `docker` command line; every method raises ToolMissing or ToolFailed with the reason."""

    def __init__(self, *, dry: bool = False) -> None:
        self.dry = dry
        self._log = Path(os.devnull)
        call = ["docker"]
        if dry:
            self._log = Path(tempfile.mkstemp(prefix="devai-dry-")[1])
            atexit.register(self._log.unlink, missing_ok=True)
            call = [sys.executable, "-m", "devai_tasks.tools.recorder", str(self._log), "docker"]
        self._call = call
        self._client = DockerClient(client_call=call, client_type="docker")

    @contextmanager
    def _running(self, title: str) -> Iterator[None]:
        """Around each call: one clean error, and under `--dry` the command that would have run."""
        try:
            yield
        except ClientNotFoundError as error:
            raise ToolMissing(
                "docker is not installed; `make bootstrap` installs it where it can, and "
                "https://docs.docker.com/engine/install/ says how elsewhere"
            ) from error
        except DockerException as error:
            raise ToolFailed(_explain(title, error)) from error
        except Exception:
            if not self.dry:
                raise
            # The recorder answers nothing, and some calls read their program's answer.
        finally:
            if self.dry:
                for line in self._log.read_text(encoding="utf-8").splitlines():
                    console.say(line)
                self._log.write_text("", encoding="utf-8")


class Docker(_Cli):
    """The engine and its images."""

    def check(self, *, cpus: float = 0) -> None:
        """Raise what keeps the engine from running a container with so many cores."""
        if self.dry:
            return
        with self._running("docker info"):
            info = self._client.system.info()
        if info.n_cpu and cpus > info.n_cpu:
            raise DevaiError(
                f"a service may use {cpus:g} cores and the engine has {info.n_cpu}; lower resources.lab.cpu or "
                f"resources.ollama.cpu, as in `--set resources.lab.cpu={info.n_cpu}`"
            )

    def has_image(self, name: str) -> bool:
        """Whether the engine has an image; under `--dry` none is missing."""
        if self.dry:
            return True
        with self._running("docker image inspect"):
            return self._client.image.exists(name)

    def pull(self, image: str) -> None:
        """Bring an image from its registry."""
        with self._running(f"docker pull {image}"):
            self._client.image.pull(image)

    def import_archive(self, archive: Path, image: str, labels: Mapping[str, str]) -> None:
        """Make an image of one layer from a tar archive."""
        with self._running("docker import"):
            changes = [f'LABEL {name}="{value}"' for name, value in labels.items()]
            self._client.image.import_(archive, tag=image, changes=changes)

    def bake(self, definition: Path, target: str, variables: Mapping[str, str]) -> None:
        """Build one target of a bake file, with BuildKit's own words on stderr."""
        if self.dry:
            console.say(f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in variables.items())}")
        with console.step(f"building {target}"), self._running(f"the build of {target}"):
            lines = self._client.buildx.bake(
                target, files=[definition], variables=dict(variables), progress="plain", stream_logs=True
            )
            console.follow(f"building {target}", (str(line).rstrip() for line in lines))

    def compose(self, env_file: Path) -> Compose:
        """The Compose project that an environment file describes."""
        return Compose(env_file, dry=self.dry)


class Compose(_Cli):
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

    def up(self, *, timeout: int) -> None:
        """Create what is missing or changed, and wait up to `timeout` seconds until all is healthy."""
        with self._running("docker compose up"):
            output = self._client.compose.up(
                detach=True, wait=True, wait_timeout=timeout, remove_orphans=True, stream_logs=True
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
                console.show(error.stdout or "")
                console.say(error.stderr or "")
                return error.return_code
        if output:
            console.show(output)
        return 0

    def containers(self) -> list[dict[str, Any]]:
        """The project's containers: service, name, state, health, image, published addresses."""
        found: list[Any] = []
        with self._running("docker compose ps"):
            found += self._everything.compose.ps(all=True)
        return sorted((_describe(container) for container in found), key=lambda row: str(row["service"]))

    def config(self) -> dict[str, Any]:
        """The merged and interpolated definition; needs no engine."""
        definition: dict[str, Any] = {}
        with self._running("docker compose config"):
            definition.update(self._client.compose.config(return_json=True))
        return definition


def _describe(container: Any) -> dict[str, Any]:
    health = container.state.health
    return {
        "service": container.config.labels["com.docker.compose.service"],
        "name": container.name,
        "state": container.state.status,
        "health": health.status if health else "",
        "image": container.config.image,
        "published": sorted(
            f"{binding['HostIp']}:{binding['HostPort']}"
            for bindings in container.network_settings.ports.values()
            for binding in bindings or []
        ),
    }


def _remedy(output: str) -> str | None:
    return next((ours for theirs, ours in _REMEDIES if theirs in output.lower()), None)


def _explain(title: str, error: DockerException) -> str:
    """The one message for a failed command: the way out where we know it, else its own last words."""
    output = error.stderr or ""
    last_words = "\n".join(output.strip().splitlines()[-5:])
    reason = _remedy(output) or last_words or "it says why above"
    return f"{title} failed (exit code {error.return_code}): {reason}"

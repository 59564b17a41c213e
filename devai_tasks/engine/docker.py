"""Container engine, controlled through python-on-whales."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from python_on_whales import DockerClient
from python_on_whales.client_config import ClientNotFoundError
from python_on_whales.exceptions import DockerException

from devai_tasks.engine import podman
from devai_tasks.system import console, process
from devai_tasks.system.errors import DevaiError, KnownFailure, MissingToolError, ToolError

if TYPE_CHECKING:
    from devai_tasks.engine.docker_compose import Compose

# Frequent failures, recognized by the error output of the engine and its client.
_KNOWN = (
    KnownFailure("^$", "see its output above", ""),
    KnownFailure(
        "permission denied while trying to connect", "no permission on the engine's socket",
        "`sudo usermod -aG docker $USER`, log in again, and retry", "DEVAI-ENGINE-003", replaces=True,
    ),
    KnownFailure(
        "no space left on device", "the engine's disk is full", "`docker system prune` removes unused data",
        "DEVAI-ENGINE-005", replaces=True,
    ),
    KnownFailure(
        "could not select device driver", "the engine has no NVIDIA GPU",
        "install the NVIDIA Container Toolkit, or omit --gpu", "DEVAI-ENGINE-011", replaces=True,
    ),
    KnownFailure(
        "unresolvable cdi devices", "Podman has no CDI device for an NVIDIA GPU",
        "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or omit --gpu", "DEVAI-ENGINE-012",
        replaces=True,
    ),
    KnownFailure(
        "cache export is not supported for the docker driver", "this builder can't export a cache",
        "create a builder that can: `docker buildx create --use`", replaces=True,
    ),
    KnownFailure(
        "is unhealthy", "a service fails its health check", "`inv compose.logs` shows its output",
        "DEVAI-ENGINE-009", replaces=True,
    ),
    KnownFailure(
        r"exited \(", "a service has stopped", "`inv compose.logs` shows its output", "DEVAI-ENGINE-010",
        replaces=True,
    ),
    KnownFailure(
        "is not a docker command", "a plugin of docker is missing", "install docker compose and docker buildx",
        "DEVAI-ENGINE-004", replaces=True,
    ),
)  # fmt: skip
# The client's message if no engine answers: up to version 28, and from 29 on.
_DOWN = re.compile(r"connect to the docker (?:daemon|api) at (\S+?)[.;]?(?=\s|$)", re.IGNORECASE)


class Cli:
    """The `docker` command line. Every method raises MissingToolError or ToolError."""

    def __init__(self, *, dry: bool = False, config: Path | None = None) -> None:
        self.dry = dry
        self.logins = config
        self._log = Path(os.devnull)
        call = ["docker"]
        if dry:
            self._log = Path(tempfile.mkstemp(prefix="devai-dry-")[1])
            atexit.register(self._log.unlink, missing_ok=True)
            call = [sys.executable, "-P", "-m", "devai_tasks.engine.recorder", str(self._log), "docker"]
        self._call = call
        self._client = DockerClient(client_call=call, client_type="docker", config=config)

    @contextmanager
    def _running(self, title: str) -> Iterator[None]:
        """Wrap a call: convert exceptions to one error, and under `--dry` print the command that would have run."""
        try:
            yield
        except ClientNotFoundError as error:
            raise MissingToolError(
                "docker is not installed",
                hint="`make bootstrap` installs it on Debian and Ubuntu; elsewhere see "
                "https://docs.docker.com/engine/install/",
                code="DEVAI-ENGINE-001",
            ) from error
        except DockerException as error:
            raise self._failed(title, error) from error
        except Exception:
            if not self.dry:
                raise
            # The recorder prints no output, and some calls parse the output.
        finally:
            if self.dry:
                for line in self._log.read_text(encoding="utf-8").splitlines():
                    console.say(line)
                self._log.write_text("", encoding="utf-8")

    def _call_for(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Return a command's output, for commands that python-on-whales does not have or whose output it prints."""
        return self._completed(*arguments, stdin=stdin).output

    def _completed(self, *arguments: str, stdin: bytes | None = None) -> process.Result:
        """Run a docker command to its end. Raises DockerException, which `_running` converts."""
        command = [str(argument) for argument in (*self._client.docker_cmd, *arguments)]
        result = process.run(command, stdin=stdin or b"")
        if result.returncode:
            raise DockerException(command, result.returncode, result.output, result.errors)
        return result

    def _failed(self, title: str, error: DockerException) -> ToolError:
        """Return the error to raise for a failed command."""
        return ToolError.of(title, error.return_code, error.stderr or "", known_failures(error.stderr or ""))


@dataclass(frozen=True)
class Engine:
    """Version of an engine, and resources of its machine."""

    version: str
    system: str
    cpus: int
    memory: int
    """In bytes."""
    root: Path
    """Folder of images and volumes, as the engine sees it: with Docker Desktop, in the virtual machine."""
    runtimes: tuple[str, ...]


class Docker(Cli):
    """The engine and its images."""

    def describe(self) -> Engine:
        """Return a description of the engine. Raises MissingToolError without `docker`, ToolError without an engine."""
        with self._running("docker info"):
            info = self._client.system.info()
            return Engine(
                version=info.server_version or "",
                system=info.operating_system or "",
                cpus=info.n_cpu or 0,
                memory=info.mem_total or 0,
                root=Path(info.docker_root_dir or "/"),
                runtimes=tuple(info.runtimes or ()),
            )
        raise AssertionError  # `_running` suppresses exceptions only under `--dry`

    def containers(self, compose_project: str) -> list[dict[str, Any]]:
        """Return the containers of a Compose project as `Compose.containers` does, without its files."""
        containers: list[Any] = []
        with self._running("docker ps"):
            label = f"com.docker.compose.project={compose_project}"
            containers += self._client.container.list(all=True, filters=[("label", label)])
        return [describe_container(container) for container in containers]

    def check(self) -> None:
        """Raise MissingToolError or ToolError if no engine answers."""
        if not self.dry:
            self.describe()

    def choose(self, name: str) -> None:
        """Set the engine of this process: `docker`, `podman`, or `auto` for Podman if only Podman has a socket.

        A `DOCKER_HOST` in the user's environment takes precedence. Raises DevaiError if `podman` has no socket.
        """
        if self.dry or name == "docker" or os.environ.get("DOCKER_HOST"):
            return
        folder = Path("/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
        socket = folder / "podman/podman.sock"
        if socket.exists() and (name == "podman" or not self._has_socket()):
            os.environ["DOCKER_HOST"] = f"unix://{socket}"
        elif name == "podman":
            raise DevaiError(
                f"Podman's socket {socket} is missing",
                hint=f"`systemctl {'' if os.geteuid() == 0 else '--user '}enable --now podman.socket` creates it; "
                "without systemd, run `podman system service` and set DOCKER_HOST",
            )

    def _has_socket(self) -> bool:
        """Whether the socket of Docker's current context exists."""
        try:
            endpoint = self._call_for("context", "inspect", "--format={{.Endpoints.docker.Host}}").decode().strip()
        except (ClientNotFoundError, DockerException, OSError):
            return False
        scheme, _, path = endpoint.partition("://")
        return scheme != "unix" or Path(path).exists()

    def kind(self) -> tuple[Literal["docker", "podman"], bool]:
        """Return the kind of the engine, `docker` or `podman`, and whether it runs rootless."""
        rootless = False
        with self._running("docker info"):
            rootless = any("rootless" in option for option in self._client.system.info().security_options or ())
        return ("podman", rootless or podman.is_rootless()) if self.is_podman() else ("docker", rootless)

    def is_podman(self) -> bool:
        """Whether the engine is Podman."""
        server = self._server()
        return any("Podman" in str(part.name) for part in (server.components if server else None) or ())

    def _server(self) -> Any:
        """Return the engine's part of `docker version`; None without one."""
        with self._running("docker version"):
            return self._client.version().server

    def has_image(self, name: str) -> bool:
        """Whether the engine has an image; True under `--dry`."""
        if self.dry:
            return True
        with self._running("docker image inspect"):
            return self._client.image.exists(name)

    def digest(self, image: str) -> str:
        """Return an image's registry digest as `sha256:…`; empty for an image that was never pushed or pulled."""
        if self.dry:
            return ""
        digests: list[str] = []
        with self._running("docker image inspect"):
            digests = self._client.image.inspect(image).repo_digests or []
        return digests[0].rpartition("@")[2] if digests else ""

    def pull(self, image: str) -> None:
        """Pull an image from its registry."""
        with self._running(f"docker pull {image}"):
            self._client.image.pull(image)

    def image_id(self, image: str) -> str:
        """Return an image's ID, a digest of its content; empty if the engine does not have the image."""
        if self.dry:
            return f"sha256:{'0' * 64}"
        with self._running("docker image inspect"):
            return str(self._client.image.inspect(image).id) if self._client.image.exists(image) else ""

    def identify(self, image: str) -> str:
        """Return the first 12 digits of an image's ID, for use in names; a placeholder under `--dry`."""
        return self.image_id(image).removeprefix("sha256:")[:12]

    def tag(self, image: str, name: str) -> None:
        """Add a name to an image."""
        with self._running("docker tag"):
            self._client.image.tag(image, name)

    def save(self, image: str, archive: Path) -> None:
        """Write an image to an archive, for this machine's platform only.

        An engine with the containerd image store would also list the other platforms, without their layers, and loaders
        refuse such an archive. The option `--platform` exists since version 1.48 of the engine's API.
        """
        with self._running("docker save"):
            arguments = ["image", "save", f"--output={archive}"]
            # The newest API version that both client and engine support.
            api_version = self._call_for("version", "--format={{.Client.APIVersion}}").decode().strip()
            if tuple(map(int, api_version.split("."))) >= (1, 48):
                details = self._client.image.inspect(image)
                arguments.append(f"--platform={details.os}/{details.architecture}")
            self._call_for(*arguments, image)

    def import_archive(self, archive: Path, image: str, labels: Mapping[str, str]) -> None:
        """Create an image with one layer from a tar archive."""
        with self._running("docker import"):
            changes = [f'LABEL {name}="{value}"' for name, value in labels.items()]
            self._client.image.import_(archive, tag=image, changes=changes)

    def bake(
        self,
        definition: Path,
        target: str,
        variables: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        hidden: Mapping[str, str] | None = None,
    ) -> None:
        """Build one target of a bake file, with BuildKit's output on stderr.

        Args:
            definition: the bake file.
            target: the target in the bake file.
            variables: variables of the bake file.
            settings: properties that override those of the target, such as `{"platform": "linux/arm64"}`. Without an
                `output`, the image is loaded into the engine, whichever builder is used.
            hidden: variables that are never printed.
        """
        overrides = dict(settings or {})
        if self.dry:
            console.say(f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in variables.items())}")
        bake = functools.partial(
            self._client.buildx.bake,
            target,
            files=[definition],
            set={f"{target}.{name}": value for name, value in overrides.items()},
            variables={**variables, **(hidden or {})},
        )
        with console.step(f"building {target}"), self._running(f"the build of {target}"):
            lines: Iterable[Any]
            if not self.dry and self.is_podman():
                resolved: Any = bake(print=True)
                lines = podman.build(resolved["target"][target], hidden or {})
            else:
                lines = bake(load="output" not in overrides, progress="plain", stream_logs=True)
            console.follow(f"building {target}", (str(line).rstrip() for line in lines))

    def platforms(self) -> list[str]:
        """Return the platforms that the builder supports, such as linux/amd64; for Podman, its engine's platform."""
        platforms: list[str] = []
        if self.is_podman():
            server = self._server()
            return [f"{server.os}/{server.arch}"]
        with self._running("docker buildx inspect"):
            nodes = self._client.buildx.inspect(bootstrap=True).nodes
            platforms += [platform.rstrip("*") for node in nodes or () for platform in node.platforms or ()]
        return platforms

    def rewrites_times(self, *, direct: bool) -> bool:
        """Whether the builder can set one timestamp for all files of an image, so that equal files give equal digests.

        Builders other than the engine's own support this (BuildKit 0.13). The engine's own builder supports it with the
        containerd image store, but only for output to an archive, because images for a registry are unpacked with their
        original timestamps.

        Args:
            direct: whether the image is pushed directly to a registry.
        """
        driver, status = "", ""
        if self.is_podman():
            return False
        with self._running("docker buildx inspect"):
            driver = str(self._client.buildx.inspect().driver)
        if driver != "docker" or direct:
            return driver != "docker"
        with self._running("docker info"):
            status = str(self._client.system.info().driver_status)
        return "containerd.snapshotter" in status

    def load(self, archive: Path) -> None:
        """Load an image from an archive."""
        with self._running("docker image load"):
            self._call_for("image", "load", "--quiet", f"--input={archive}")

    def compose(self, env_file: Path) -> Compose:
        """Return the Compose project that an environment file describes."""
        from devai_tasks.engine.docker_compose import Compose

        return Compose(env_file, dry=self.dry)


def describe_container(container: Any) -> dict[str, Any]:
    """Return the properties of a Compose container that tasks report."""
    health = container.state.health
    return {
        "service": container.config.labels["com.docker.compose.service"],
        "name": container.name,
        "state": container.state.status,
        "health": health.status if health else "",
        "image": container.config.image,
        "image_id": container.image,
        "published": sorted(
            f"{binding['HostIp']}:{binding['HostPort']}"
            for bindings in container.network_settings.ports.values()
            for binding in bindings or []
        ),
        "mounts": {str(mount.destination): str(mount.source) for mount in container.mounts or ()},
    }


def known_failures(output: str) -> Sequence[KnownFailure]:
    """Return the known failures of the engine and its client, including its address if no engine answers."""
    down = _DOWN.search(output)
    return [*_KNOWN, _no_engine(down[1])] if down else _KNOWN


def _no_engine(address: str) -> KnownFailure:
    """Return the failure for an engine that does not answer at an address, with a hint how to start it."""
    hint = "start Docker Desktop, or `sudo systemctl start docker`"
    if address.endswith("podman.sock"):
        hint = f"`systemctl {'' if ':///run/podman/' in address else '--user '}restart podman.socket`"
    elif os.environ.get("DOCKER_HOST"):
        hint = "DOCKER_HOST is set to this address: start that engine, or `unset DOCKER_HOST`"
    return KnownFailure("", f"no container engine answers at {address}", hint, "DEVAI-ENGINE-002", replaces=True)

"""The container engine, through python-on-whales."""

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

# What users meet most, by the words of the engine and its client.
_KNOWN = (
    KnownFailure("^$", "its output is above", ""),
    KnownFailure(
        "permission denied while trying to connect", "no permission on the engine's socket",
        "`sudo usermod -aG docker $USER`, log in again, and retry", "DEVAI-ENGINE-003", replaces=True,
    ),
    KnownFailure(
        "no space left on device", "the engine's disk is full", "`docker system prune` removes what nothing uses",
        "DEVAI-ENGINE-005", replaces=True,
    ),
    KnownFailure(
        "could not select device driver", "the engine has no NVIDIA GPU",
        "install NVIDIA's container toolkit, or drop --gpu", "DEVAI-ENGINE-011", replaces=True,
    ),
    KnownFailure(
        "unresolvable cdi devices", "Podman knows no NVIDIA GPU",
        "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or drop --gpu", "DEVAI-ENGINE-012",
        replaces=True,
    ),
    KnownFailure(
        "cache export is not supported for the docker driver", "this builder exports no cache",
        "`docker buildx create --use` makes one that does", replaces=True,
    ),
    KnownFailure(
        "is unhealthy", "a service answers no health check", "`inv compose.logs` shows what it says",
        "DEVAI-ENGINE-009", replaces=True,
    ),
    KnownFailure(
        r"exited \(", "a service has stopped", "`inv compose.logs` shows its last words", "DEVAI-ENGINE-010",
        replaces=True,
    ),
    KnownFailure(
        "is not a docker command", "docker lacks its plugin", "install docker compose and docker buildx",
        "DEVAI-ENGINE-004", replaces=True,
    ),
)  # fmt: skip
# How the client says where nothing answers it: to 28 and from 29 on.
_DOWN = re.compile(r"connect to the docker (?:daemon|api) at (\S+?)[.;]?(?=\s|$)", re.IGNORECASE)


class Cli:
    """The `docker` command line; every method raises MissingToolError or ToolError with the reason."""

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
        """Around each call: one clean error, and under `--dry` the command that would have run."""
        try:
            yield
        except ClientNotFoundError as error:
            raise MissingToolError(
                "docker is not installed",
                hint="`make bootstrap` installs it where it can, and https://docs.docker.com/engine/install/ says how "
                "elsewhere",
                code="DEVAI-ENGINE-001",
            ) from error
        except DockerException as error:
            raise self._failed(title, error) from error
        except Exception:
            if not self.dry:
                raise
            # The recorder answers nothing, and some calls read their program's answer.
        finally:
            if self.dry:
                for line in self._log.read_text(encoding="utf-8").splitlines():
                    console.say(line)
                self._log.write_text("", encoding="utf-8")

    def _call_for(self, *words: str, given: bytes | None = None) -> bytes:
        """Return what the program prints, where python-on-whales has no verb or would print on its own."""
        return self._completed(*words, given=given).output

    def _completed(self, *words: str, given: bytes | None = None) -> process.Result:
        """Run a command of the program. Raises DockerException, for `_running` to explain."""
        command = [str(word) for word in (*self._client.docker_cmd, *words)]
        done = process.run(command, stdin=given or b"")
        if done.returncode:
            raise DockerException(command, done.returncode, done.output, done.errors)
        return done

    def _failed(self, title: str, error: DockerException) -> ToolError:
        """Return what is raised for a failed command."""
        return ToolError.of(title, error.return_code, error.stderr or "", known_failures(error.stderr or ""))


@dataclass(frozen=True)
class Engine:
    """What an engine is, and what its machine has."""

    version: str
    system: str
    cpus: int
    memory: int
    """In bytes."""
    root: Path
    """Where it keeps images and volumes, as it sees that: with Docker Desktop in a machine of its own."""
    runtimes: tuple[str, ...]


class Docker(Cli):
    """The engine and its images."""

    def describe(self) -> Engine:
        """What answers. Raises MissingToolError without the program, ToolError where nothing does."""
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
        raise AssertionError  # `_running` passes by what happens under `--dry` only

    def containers(self, compose_project: str) -> list[dict[str, Any]]:
        """The containers of a Compose project, without its files: as `Compose.containers` shows them."""
        found: list[Any] = []
        with self._running("docker ps"):
            own = f"com.docker.compose.project={compose_project}"
            found += self._client.container.list(all=True, filters=[("label", own)])
        return [describe_container(container) for container in found]

    def check(self) -> None:
        """Raise where none answers."""
        if not self.dry:
            self.describe()

    def choose(self, name: str) -> None:
        """Make Docker or Podman what all calls of this process go to; `auto` is Podman where that alone is there.

        A `DOCKER_HOST` that the person has set decides in any case. Raises DevaiError where Podman is wanted and has no
        socket.
        """
        if self.dry or name == "docker" or os.environ.get("DOCKER_HOST"):
            return
        folder = Path("/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
        socket = folder / "podman/podman.sock"
        if socket.exists() and (name == "podman" or not self._has_socket()):
            os.environ["DOCKER_HOST"] = f"unix://{socket}"
        elif name == "podman":
            raise DevaiError(
                f"Podman has no socket {socket}",
                hint=f"`systemctl {'' if os.geteuid() == 0 else '--user '}enable --now podman.socket` makes it, or "
                "`podman system service` and DOCKER_HOST",
            )

    def _has_socket(self) -> bool:
        """Whether there is one where Docker's context points: its own, a person's, Docker Desktop's."""
        try:
            endpoint = self._call_for("context", "inspect", "--format={{.Endpoints.docker.Host}}").decode().strip()
        except (ClientNotFoundError, DockerException, OSError):
            return False
        scheme, _, path = endpoint.partition("://")
        return scheme != "unix" or Path(path).exists()

    def kind(self) -> tuple[Literal["docker", "podman"], bool]:
        """What answers, `docker` or `podman`, and whether it runs as a person and not as root."""
        rootless = False
        with self._running("docker info"):
            rootless = any("rootless" in option for option in self._client.system.info().security_options or ())
        return ("podman", rootless or podman.is_rootless()) if self.is_podman() else ("docker", rootless)

    def is_podman(self) -> bool:
        """Whether it is Podman that answers."""
        server = self._server()
        return any("Podman" in str(part.name) for part in (server.components if server else None) or ())

    def _server(self) -> Any:
        """What it says of itself; None where it says nothing."""
        with self._running("docker version"):
            return self._client.version().server

    def has_image(self, name: str) -> bool:
        """Whether the engine has an image; under `--dry` none is missing."""
        if self.dry:
            return True
        with self._running("docker image inspect"):
            return self._client.image.exists(name)

    def digest(self, image: str) -> str:
        """What a registry knows an image by, as `sha256:…`; empty for one that never was in one."""
        if self.dry:
            return ""
        found: list[str] = []
        with self._running("docker image inspect"):
            found = self._client.image.inspect(image).repo_digests or []
        return found[0].rpartition("@")[2] if found else ""

    def pull(self, image: str) -> None:
        """Bring an image from its registry."""
        with self._running(f"docker pull {image}"):
            self._client.image.pull(image)

    def image_id(self, image: str) -> str:
        """What an image is, which follows from all that is in it; empty for one that the engine doesn't have."""
        if self.dry:
            return f"sha256:{'0' * 64}"
        with self._running("docker image inspect"):
            return str(self._client.image.inspect(image).id) if self._client.image.exists(image) else ""

    def identify(self, image: str) -> str:
        """The beginning of an image's id, for names; under `--dry` a stand-in."""
        return self.image_id(image).removeprefix("sha256:")[:12]

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        with self._running("docker tag"):
            self._client.image.tag(image, name)

    def save(self, image: str, archive: Path) -> None:
        """Write an image to an archive, for the one platform that it would run on here.

        An engine that keeps images in containerd would name the others in it, too, without their layers, which loaders
        refuse. It can be told since version 1.48 of its interface.
        """
        with self._running("docker save"):
            words = ["image", "save", f"--output={archive}"]
            # The newest that both the program and the engine speak.
            spoken = self._call_for("version", "--format={{.Client.APIVersion}}").decode().strip()
            if tuple(map(int, spoken.split("."))) >= (1, 48):
                found = self._client.image.inspect(image)
                words.append(f"--platform={found.os}/{found.architecture}")
            self._call_for(*words, image)

    def import_archive(self, archive: Path, image: str, labels: Mapping[str, str]) -> None:
        """Make an image of one layer from a tar archive."""
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
        """Build one target of a bake file, with BuildKit's own words on stderr.

        `settings` of the target, such as `{"platform": "linux/arm64"}`, are stronger than the file. Without an
        `output` among them, the engine gets the image, whichever builder makes it. `hidden` are variables, too, and
        shown to nobody.
        """
        own = dict(settings or {})
        if self.dry:
            console.say(f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in variables.items())}")
        bake = functools.partial(
            self._client.buildx.bake,
            target,
            files=[definition],
            set={f"{target}.{name}": value for name, value in own.items()},
            variables={**variables, **(hidden or {})},
        )
        with console.step(f"building {target}"), self._running(f"the build of {target}"):
            lines: Iterable[Any]
            if not self.dry and self.is_podman():
                resolved: Any = bake(print=True)
                lines = podman.build(resolved["target"][target], hidden or {})
            else:
                lines = bake(load="output" not in own, progress="plain", stream_logs=True)
            console.follow(f"building {target}", (str(line).rstrip() for line in lines))

    def platforms(self) -> list[str]:
        """What the builder can build for, such as linux/amd64; of Podman, what its engine is."""
        found: list[str] = []
        if self.is_podman():
            server = self._server()
            return [f"{server.os}/{server.arch}"]
        with self._running("docker buildx inspect"):
            nodes = self._client.buildx.inspect(bootstrap=True).nodes
            found += [platform.rstrip("*") for node in nodes or () for platform in node.platforms or ()]
        return found

    def rewrites_times(self, *, direct: bool) -> bool:
        """Whether the builder can give all files of an image one time, so that equal files make an equal digest.

        Other builders than the engine's own can (BuildKit 0.13). That can where the engine keeps images in containerd,
        but into an archive only and not `direct` into a registry: it unpacks what it makes, with the times as they are.
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
        """Take an image from an archive."""
        with self._running("docker image load"):
            self._call_for("image", "load", "--quiet", f"--input={archive}")

    def compose(self, env_file: Path) -> Compose:
        """The Compose project that an environment file describes."""
        from devai_tasks.engine.docker_compose import Compose

        return Compose(env_file, dry=self.dry)


def describe_container(container: Any) -> dict[str, Any]:
    """What is told of a container of a Compose project."""
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
    """Return the known failures of the engine and its client; for an engine that is down with its address."""
    down = _DOWN.search(output)
    return [*_KNOWN, _no_engine(down[1])] if down else _KNOWN


def _no_engine(address: str) -> KnownFailure:
    """Return the failure of an engine that does not answer at an address: who starts it, or who has named it."""
    hint = "start Docker Desktop, or `sudo systemctl start docker`"
    if address.endswith("podman.sock"):
        hint = f"`systemctl {'' if ':///run/podman/' in address else '--user '}restart podman.socket`"
    elif os.environ.get("DOCKER_HOST"):
        hint = "DOCKER_HOST says so: `unset DOCKER_HOST`, or start what it names"
    return KnownFailure("", f"no container engine answers at {address}", hint, "DEVAI-ENGINE-002", replaces=True)

"""Images: in the engine, and in registries as the engine's own client reaches them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from python_on_whales.exceptions import DockerException

from devai_tasks.engine.docker import Docker
from devai_tasks.system import console
from devai_tasks.system.errors import ToolError

No = Literal["login", "name", "tag", "broken"]
# What clients, engines and registries say when it's no use to try again: their words, and what they mean.
_NOES: tuple[tuple[str, No], ...] = (
    ("does not exist in the registry with id", "name"),  # Amazon ECR
    ("name unknown", "name"),
    ("name_unknown", "name"),
    ("repository name not known", "name"),
    ("cannot be overwritten", "tag"),  # Amazon ECR, where tags are immutable
    ("tag immutability", "tag"),  # Google's Artifact Registry
    ("no basic auth credentials", "login"),
    ("unauthorized", "login"),
    ("access denied", "login"),
    ("denied: ", "login"),
    ("403 forbidden", "login"),
    ("manifest unknown", "name"),
    (": not found", "name"),
    ("500 internal server error", "broken"),
)


class RegistryRefusedError(ToolError):
    """A registry's no, which trying again doesn't change.

    `no` is `login` where it doesn't know the caller or not well enough, `name` for a repository or an image that it
    doesn't have, `tag` for one that may not be overwritten, and `broken` for an error of its own.
    """

    def __init__(self, no: No, message: str, **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.no = no


@dataclass(frozen=True)
class Manifest:
    """What a registry has under a name."""

    digest: str
    """Of the manifest, or of the index of several platforms; computed here from what the registry sent."""
    image: str
    """Of the image's configuration, which commits to all its files; empty for an index."""


class Images(Docker):
    """Images by name; every method raises ToolError with the reason, RegistryRefusedError for a registry's no."""

    def _failed(self, title: str, error: DockerException) -> ToolError:
        failed, no = super()._failed(title, error), meant(error.stderr or "")
        if not no:
            return failed
        return RegistryRefusedError(
            no, failed.message, command=title, returncode=error.return_code, stderr=failed.stderr, hint=failed.hint
        )

    def inspect(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image, as `docker image inspect` shows it; None for one that it doesn't have."""
        try:
            with self._running("docker image inspect"):
                described: dict[str, Any] = json.loads(self._call_for("image", "inspect", name))[0]
                return described
        except ToolError as error:
            if "no such image" not in error.stderr.lower():
                raise
        return None

    def history(self, name: str) -> list[dict[str, str]]:
        """An image's layers, newest first, as `docker image history` shows them; sizes in bytes."""
        lines = b""
        with self._running("docker image history"):
            lines = self._call_for("image", "history", "--no-trunc", "--human=false", "--format={{json .}}", name)
        return [json.loads(line) for line in lines.splitlines()]

    def names(self, label: str) -> list[dict[str, str]]:
        """The engine's images that have a label (`name` or `name=value`), as `docker image ls` shows them."""
        lines = b""
        with self._running("docker image ls"):
            lines = self._call_for(
                "image", "ls", "--no-trunc", "--digests", f"--filter=label={label}", "--format={{json .}}"
            )
        return [json.loads(line) for line in lines.splitlines()]

    def used(self) -> set[str]:
        """The ids of the images that containers are of, whether they run or not: the engine keeps those."""
        ids: set[str] = set()
        with self._running("docker ps"):
            ids |= {container.image for container in self._client.container.list(all=True)}
        return ids

    def remove(self, names: Sequence[str]) -> None:
        """Take names from the engine, and images that have no other."""
        with self._running("docker image rm"):
            self._call_for("image", "rm", *names)

    def output(self, name: str, *command: str) -> str:
        """What a program of an image prints, run without network and rights, and gone afterwards."""
        printed = b""
        program, *arguments = command
        limits = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", f"--entrypoint={program}")
        with self._running(f"{program} in {name}"):
            printed = self._call_for("run", *limits, name, *arguments)
        return printed.decode()

    def push(self, name: str) -> None:
        """Send an image to the registry in its name; what that has already is not sent again."""
        with self._running(f"docker push {name}"):
            if self.dry:  # python-on-whales looks at the image first
                self._call_for("image", "push", name)
                return
            lines = self._client.image.push(name, stream_logs=True) or ()
            said = (line.decode(errors="replace").strip() for _, line in lines)
            news = (line for line in said if not line.endswith((": Preparing", ": Waiting")))
            console.follow(f"pushing {name}", news)

    def alias(self, name: str, other: str) -> None:
        """Give an image in a registry another name there, without sending it again."""
        with self._running("docker buildx imagetools create"):
            self._call_for("buildx", "imagetools", "create", f"--tag={other}", name)

    def manifest(self, name: str) -> Manifest | None:
        """What the registry, and not the engine, has under a name; None where it has nothing."""
        raw = b""
        try:
            with self._running(f"the look at {name}"):
                raw = self._call_for("buildx", "imagetools", "inspect", "--raw", name)
        except RegistryRefusedError as error:
            if error.no != "name":
                raise
        if not raw:
            return None
        return Manifest(
            f"sha256:{hashlib.sha256(raw).hexdigest()}", json.loads(raw).get("config", {}).get("digest", "")
        )

    def all_have(self, name: str, label: str, value: str) -> bool:
        """Whether an image in a registry has a label, on every platform that it is for."""
        raw = b""
        with self._running(f"the look at {name}"):
            raw = self._call_for("buildx", "imagetools", "inspect", "--format={{json .Image}}", name)
        found = json.loads(raw)
        each = [found] if "rootfs" in found else list(found.values())  # of several platforms, by their names
        return {(image.get("config", {}).get("Labels") or {}).get(label) for image in each} == {value}

    @contextmanager
    def logged_in(self, host: str, username: str, token: str) -> Iterator[Images]:
        """The same engine, for a while known to a registry; the token goes by standard input and is gone afterwards.

        A person's own configuration stays as it is: Docker keeps a login in a file or a key chain, for good.
        """
        if self.dry:
            with self._running("docker login"):
                self._call_for("login", f"--username={username}", "--password-stdin", host)
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="devai-login-") as folder:  # 0700
            copy_configuration(Path(folder), without=host)
            own = Images(config=Path(folder))
            with own._running(f"docker login {host}"):
                own._call_for("login", f"--username={username}", "--password-stdin", host, given=token.encode())
            yield own


def meant(output: str) -> No | None:
    """The no that a program's words mean; None for trouble that may pass."""
    return next((no for words, no in _NOES if words in output.lower()), None)


def copy_configuration(target: Path, *, without: str) -> None:
    """What the client knows of contexts, plugins and builders, in a folder of its own.

    Logins for other registries are kept, and where a key chain has them, they are still asked for there; but none is
    the default, so that a new login is a line in this folder's file.
    """
    source = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    for entry in source.iterdir() if source.is_dir() else ():
        if entry.name != "config.json":
            (target / entry.name).symlink_to(entry.resolve())
    file = source / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if store := settings.pop("credsStore", None):
        settings["credHelpers"] = dict.fromkeys(settings.get("auths", {}), store) | settings.get("credHelpers", {})
    for kind in ("auths", "credHelpers"):
        settings.get(kind, {}).pop(without, None)
    written = target / "config.json"
    written.touch(mode=0o600)
    written.write_text(json.dumps(settings), encoding="utf-8")

"""Images in the engine, and in registries that the engine's client accesses."""

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

Refusal = Literal["login", "name", "tag", "broken"]
# Error output of clients, engines and registries for permanent failures, and the kind of the failure.
_REFUSALS: tuple[tuple[str, Refusal], ...] = (
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
    """A registry refused a request, and a retry would not help.

    Attributes:
        kind: kind of the refusal: `login` without valid or sufficient credentials, `name` for a missing repository or
            image, `tag` for a tag that can't be overwritten, `broken` for an internal error of the registry.
    """

    def __init__(self, kind: Refusal, message: str, **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.kind = kind


@dataclass(frozen=True)
class Manifest:
    """Manifest of an image in a registry."""

    digest: str
    """Digest of the manifest, or of the index of several platforms; computed from the registry's response."""
    image: str
    """Digest of the image's configuration, which covers all its files; empty for an index."""


class Images(Docker):
    """Operations on images by name. Every method raises ToolError, or RegistryRefusedError if a registry refuses."""

    def _failed(self, title: str, error: DockerException) -> ToolError:
        failed, kind = super()._failed(title, error), refusal_of(error.stderr or "")
        if not kind:
            return failed
        return RegistryRefusedError(
            kind, failed.message, command=title, returncode=error.return_code, stderr=failed.stderr, hint=failed.hint
        )

    def inspect(self, name: str) -> dict[str, Any] | None:
        """Return the output of `docker image inspect`; None if the engine does not have the image."""
        try:
            with self._running("docker image inspect"):
                details: dict[str, Any] = json.loads(self._call_for("image", "inspect", name))[0]
                return details
        except ToolError as error:
            if "no such image" not in error.stderr.lower():
                raise
        return None

    def history(self, name: str) -> list[dict[str, str]]:
        """Return an image's layers as `docker image history` prints them: newest first, sizes in bytes."""
        lines = b""
        with self._running("docker image history"):
            lines = self._call_for("image", "history", "--no-trunc", "--human=false", "--format={{json .}}", name)
        return [json.loads(line) for line in lines.splitlines()]

    def names(self, label: str) -> list[dict[str, str]]:
        """Return the images with a label (`name` or `name=value`), as `docker image ls` prints them."""
        lines = b""
        with self._running("docker image ls"):
            lines = self._call_for(
                "image", "ls", "--no-trunc", "--digests", f"--filter=label={label}", "--format={{json .}}"
            )
        return [json.loads(line) for line in lines.splitlines()]

    def used(self) -> set[str]:
        """Return the IDs of the images of all containers, running or stopped, which the engine can't remove."""
        ids: set[str] = set()
        with self._running("docker ps"):
            ids |= {container.image for container in self._client.container.list(all=True)}
        return ids

    def remove(self, names: Sequence[str]) -> None:
        """Remove names of images, and images without another name."""
        with self._running("docker image rm"):
            self._call_for("image", "rm", *names)

    def output(self, name: str, *command: str) -> str:
        """Run a program of an image in a temporary container without network and capabilities; return its output."""
        printed = b""
        program, *arguments = command
        limits = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", f"--entrypoint={program}")
        with self._running(f"{program} in {name}"):
            printed = self._call_for("run", *limits, name, *arguments)
        return printed.decode()

    def push(self, name: str) -> None:
        """Push an image to the registry in its name. Layers that the registry has are not sent again."""
        with self._running(f"docker push {name}"):
            if self.dry:  # python-on-whales inspects the image first
                self._call_for("image", "push", name)
                return
            lines = self._client.image.push(name, stream_logs=True) or ()
            output = (line.decode(errors="replace").strip() for _, line in lines)
            progress = (line for line in output if not line.endswith((": Preparing", ": Waiting")))
            console.follow(f"pushing {name}", progress)

    def alias(self, name: str, other: str) -> None:
        """Add another name to an image in a registry, without uploading the image again."""
        with self._running("docker buildx imagetools create"):
            self._call_for("buildx", "imagetools", "create", f"--tag={other}", name)

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of a name in the registry; None if the registry has none."""
        raw = b""
        try:
            with self._running(f"docker buildx imagetools inspect {name}"):
                raw = self._call_for("buildx", "imagetools", "inspect", "--raw", name)
        except RegistryRefusedError as error:
            if error.kind != "name":
                raise
        if not raw:
            return None
        return Manifest(
            f"sha256:{hashlib.sha256(raw).hexdigest()}", json.loads(raw).get("config", {}).get("digest", "")
        )

    def all_have(self, name: str, label: str, value: str) -> bool:
        """Whether an image in a registry has a label with this value on each of its platforms."""
        raw = b""
        with self._running(f"docker buildx imagetools inspect {name}"):
            raw = self._call_for("buildx", "imagetools", "inspect", "--format={{json .Image}}", name)
        configuration = json.loads(raw)
        # For several platforms, the output maps each platform to its image.
        images = [configuration] if "rootfs" in configuration else list(configuration.values())
        return {(image.get("config", {}).get("Labels") or {}).get(label) for image in images} == {value}

    @contextmanager
    def logged_in(self, host: str, username: str, token: str) -> Iterator[Images]:
        """Yield the same engine with a temporary login to a registry; the token is passed by standard input.

        The user's own Docker configuration is not changed, because Docker would keep the login in a file or a keychain
        permanently.
        """
        if self.dry:
            with self._running("docker login"):
                self._call_for("login", f"--username={username}", "--password-stdin", host)
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="devai-login-") as folder:  # 0700
            copy_configuration(Path(folder), without=host)
            images = Images(config=Path(folder))
            with images._running(f"docker login {host}"):
                images._call_for("login", f"--username={username}", "--password-stdin", host, stdin=token.encode())
            yield images


def refusal_of(output: str) -> Refusal | None:
    """Return the kind of refusal in a program's error output; None for a failure that may be temporary."""
    return next((kind for text, kind in _REFUSALS if text in output.lower()), None)


def copy_configuration(target: Path, *, without: str) -> None:
    """Copy the client's configuration with contexts, plugins and builders to another folder.

    Logins to other registries are kept, including those in a keychain. The default credential store is removed, so that
    a new login is written to the copied file only.

    Args:
        target: the folder of the copy.
        without: the registry whose login is removed.
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

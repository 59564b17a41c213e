"""Documents attached to an image in its registry, as referrers of OCI 1.1: pushed and found by the image's digest.

See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md. In a registry without support for
referrers, a tag that is named after the digest holds their list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from devai_tasks.engine import registry
from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Media types of an image: manifest or index of several platforms, of OCI and of Docker.
_IMAGES = (
    MANIFEST, INDEX, "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)  # fmt: skip
# Empty configuration of an artifact, as the OCI image specification defines it.
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_SECONDS = 60
# Key of Docker Hub in the client's configuration.
_HUB = "https://index.docker.io/v1/"

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """Document that is attached to an image, such as an SBOM."""

    media_type: str
    content: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


class Repository:
    """Repository of a registry, accessed with the logins of the engine's client."""

    def __init__(self, name: str, logins: Path | None = None) -> None:
        """Find the registry and its login.

        Args:
            name: the repository, beginning with the registry's host.
            logins: folder of the client's configuration (default: the user's).
        """
        self.name = name
        self._host = registry.host(name)
        path = name.partition("/")[2] if name.startswith(f"{self._host}/") else name
        self._url = f"{registry.url(self._host)}/v2/{path}"
        self._login = credentials(self._host, logins)
        self._authorization = ""

    def attach(self, image: str, documents: Sequence[Document]) -> list[str]:
        """Attach documents to an image, unless they are attached already; return the digests of the new ones.

        Args:
            image: the image's digest.
            documents: the documents.

        Raises:
            ToolError: the registry refuses a document or can't be reached.
        """
        subject = self._subject(image)
        known = {entry["digest"] for entry in self.referrers(image)}
        new = []
        for document in documents:
            manifest = self._manifest(document, subject)
            digest = _digest(manifest)
            if digest in known:
                continue
            for blob in (_EMPTY, document.content):
                self._upload(blob)
            answer = self._call("PUT", f"manifests/{digest}", content=manifest, headers={"Content-Type": MANIFEST})
            if "OCI-Subject" not in answer.headers:
                self._list(image, _described(document, manifest))
            new.append(digest)
        return new

    def referrers(self, image: str) -> list[Descriptor]:
        """Return the descriptors of the documents attached to an image, given by its digest."""
        answer = self._call("GET", f"referrers/{image}", headers={"Accept": INDEX}, allowed=(404,))
        if answer.status_code == httpx.codes.NOT_FOUND:
            answer = self._listed(image)
        entries: list[Descriptor] = [] if answer.status_code == httpx.codes.NOT_FOUND else answer.json()["manifests"]
        return entries

    def content(self, manifest: str) -> bytes:
        """Return the document of a referrer, given by its digest. Raises ToolError if a digest does not match."""
        blob = json.loads(self._verified(f"manifests/{manifest}", manifest))["layers"][0]["digest"]
        return self._verified(f"blobs/{blob}", blob)

    def _verified(self, path: str, digest: str) -> bytes:
        content = self._call("GET", path, headers={"Accept": MANIFEST}).content
        if _digest(content) != digest:
            raise ToolError(f"{self.name}: the content of {path} does not match its digest")
        return content

    def _subject(self, image: str) -> Descriptor:
        answer = self._call("GET", f"manifests/{image}", headers={"Accept": ", ".join(_IMAGES)})
        return {"mediaType": answer.headers["Content-Type"], "digest": image, "size": len(answer.content)}

    @staticmethod
    def _manifest(document: Document, subject: Descriptor) -> bytes:
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": document.media_type,
            "config": {"mediaType": _EMPTY_TYPE, **_size(_EMPTY)},
            "layers": [{"mediaType": document.media_type, **_size(document.content)}],
            "subject": subject,
            "annotations": dict(document.annotations),
        }
        return json.dumps(manifest, sort_keys=True).encode()

    def _upload(self, blob: bytes) -> None:
        digest = _digest(blob)
        if self._call("HEAD", f"blobs/{digest}", allowed=(404,)).status_code == httpx.codes.OK:
            return
        location = httpx.URL(self._url).join(self._call("POST", "blobs/uploads/").headers["Location"])
        headers = {"Content-Type": "application/octet-stream"}
        self._call("PUT", str(location.copy_merge_params({"digest": digest})), content=blob, headers=headers)

    def _listed(self, image: str) -> httpx.Response:
        """Return the tag with the list of an image's referrers, for a registry without support for referrers."""
        return self._call("GET", f"manifests/{image.replace(':', '-')}", headers={"Accept": INDEX}, allowed=(404,))

    def _list(self, image: str, entry: Descriptor) -> None:
        answer = self._listed(image)
        others = [] if answer.status_code == httpx.codes.NOT_FOUND else answer.json()["manifests"]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
        content, headers = json.dumps(index).encode(), {"Content-Type": INDEX}
        self._call("PUT", f"manifests/{image.replace(':', '-')}", content=content, headers=headers)

    def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> httpx.Response:
        url = path if path.startswith("http") else f"{self._url}/{path}"
        try:
            answer = self._send(method, url, content, headers or {})
            if answer.status_code == httpx.codes.UNAUTHORIZED and self._log_in(answer.headers["WWW-Authenticate"]):
                answer = self._send(method, url, content, headers or {})
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise ToolError(f"{self._host} does not answer {method} {path}: {error!r}") from error
        if answer.is_error and answer.status_code not in allowed:
            raise ToolError(f"{self._host} refuses {method} {path} ({answer.status_code}): {answer.text.strip()[:300]}")
        return answer

    def _send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> httpx.Response:
        # Send the login to this registry only: an upload's location may be another host's storage service.
        same_host = httpx.URL(url).host == httpx.URL(self._url).host
        authorization = {"Authorization": self._authorization} if self._authorization and same_host else {}
        # Proxy variables of the user's environment apply to other machines, not to this one.
        with httpx.Client(trust_env=not registry.on_this_machine(self._host), timeout=_SECONDS) as client:
            redirects = method in ("GET", "HEAD")
            return client.request(
                method, url, content=content, headers={**headers, **authorization}, follow_redirects=redirects
            )

    def _log_in(self, challenge: str) -> bool:
        """Set the authorization that the registry requests, a login or a token; return whether there is one.

        https://distribution.github.io/distribution/spec/auth/token/
        """
        kind, _, rest = challenge.partition(" ")
        basic = f"Basic {base64.b64encode(':'.join(self._login).encode()).decode()}" if self._login else ""
        if kind.lower() == "basic":
            self._authorization = basic
            return bool(basic)
        parameters = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        service = httpx.URL(parameters.pop("realm"))
        if service.scheme != "https" and not registry.on_this_machine(service.host):
            raise ValueError(f"its token service {service.host} does not use TLS")
        answer = httpx.get(
            service, params=parameters, headers={"Authorization": basic} if basic else {}, timeout=_SECONDS
        )
        if answer.is_error:
            return False
        body = answer.json()
        self._authorization = f"Bearer {body.get('token') or body['access_token']}"
        return True


def credentials(host: str, config: Path | None = None) -> tuple[str, str] | None:
    """Return the login of the engine's client for a registry, from its file or a keychain; None without one."""
    folder = config or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    name = _HUB if host == registry.DOCKER_HUB else host
    helper = settings.get("credHelpers", {}).get(name) or settings.get("credsStore")
    if helper:
        try:
            result = process.run([f"docker-credential-{helper}", "get"], stdin=name).check(secret=True)
        except (MissingToolError, ToolError):
            return None
        login = json.loads(result.stdout)
        return login["Username"], login["Secret"]
    encoded = settings.get("auths", {}).get(name, {}).get("auth", "")
    username, colon, password = base64.b64decode(encoded).decode().partition(":")
    return (username, password) if colon else None


def _described(document: Document, manifest: bytes) -> Descriptor:
    """Return the entry of a referrer in the list of an image's referrers."""
    return {
        "mediaType": MANIFEST, **_size(manifest), "artifactType": document.media_type,
        "annotations": dict(document.annotations),
    }  # fmt: skip


def _size(content: bytes) -> Descriptor:
    return {"digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

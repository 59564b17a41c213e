"""Certificates of a cluster: one certificate authority, and client or server certificates of the components."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Also covers a cluster that keeps running because it was not stopped.
DAYS = "30"
CONTEXT = "devai-tests"


@dataclass(frozen=True)
class Authority:
    """A certificate authority that writes `<name>.crt` and `<name>.key` into a folder; needs openssl 3.0 or later."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Authority:
        """Create an authority and its folder, which must not exist."""
        folder.mkdir(mode=0o700)
        authority = cls(folder)
        authority._request(
            "ca", "/CN=devai-tests", *_extensions("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
        )
        return authority

    @property
    def ca(self) -> Path:
        """The file with the authority's certificate."""
        return self.certificate("ca")

    def certificate(self, name: str) -> Path:
        """Return the file with a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the file with a private key."""
        return self.folder / f"{name}.key"

    def issue(self, name: str, *, user: str, group: str = "", addresses: Iterable[str] = ()) -> None:
        """Issue a client certificate for a user of the API; with addresses (`IP:…`, `DNS:…`) also for a server."""
        subject = (f"/O={group}" if group else "") + f"/CN={user}"
        names = ",".join(addresses)
        extensions = ["basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid"]
        extensions += [f"extendedKeyUsage=clientAuth{',serverAuth' if names else ''}"]
        extensions += [f"subjectAltName={names}"] if names else []
        signed = ("-CA", str(self.ca), "-CAkey", str(self.key("ca")))
        self._request(name, subject, *signed, *_extensions(*extensions))

    def kubeconfig(self, name: str, server: str, file: Path) -> Path:
        """Write a user's self-contained kubeconfig for an API server."""

        def data(path: Path) -> str:
            return base64.b64encode(path.read_bytes()).decode()

        user = {"client-certificate-data": data(self.certificate(name)), "client-key-data": data(self.key(name))}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": data(self.ca)}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": name}}],
            "current-context": CONTEXT,
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return file

    def _request(self, name: str, subject: str, *options: str) -> None:
        command = ["openssl", "req", "-x509", "-noenc", "-days", DAYS, "-subj", subject]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-config", "/dev/null"]
        command += ["-keyout", str(self.key(name)), "-out", str(self.certificate(name)), *options]
        subprocess.run(command, check=True, capture_output=True)


def _extensions(*values: str) -> list[str]:
    return [argument for value in values for argument in ("-addext", value)]

"""Certificates of labs on this machine, by the real openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from devai_tasks.system import certificates

NAMES = ["127.0.0.1", "localhost", "192.0.2.7"]


def create(folder: Path, names: list[str]) -> Path:
    assert certificates.make(folder / "tls.crt", folder / "tls.key", names, "devai-local-dev") == "itself"
    return folder / "tls.crt"


def test_certificate_has_its_names_and_is_not_an_authority(tmp_path: Path) -> None:
    certificate = create(tmp_path, NAMES)
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", certificate], capture_output=True, text=True, check=True
    ).stdout
    assert "IP Address:127.0.0.1, DNS:localhost, IP Address:192.0.2.7" in text
    assert "CA:FALSE" in text
    ssl.create_default_context().load_cert_chain(certificate, tmp_path / "tls.key")


def test_valid_certificate_is_kept_unless_names_change(tmp_path: Path) -> None:
    assert not certificates.good(tmp_path / "tls.crt", NAMES)
    certificate = create(tmp_path, NAMES)
    assert certificates.good(certificate, NAMES)
    assert not certificates.good(certificate, [*NAMES, "192.0.2.8"])
    assert not certificates.good(certificate, [*NAMES, "lab.example.com"])


def test_certificate_that_expires_soon_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "DAYS", 29)
    assert not certificates.good(create(tmp_path, NAMES), NAMES)


def test_self_signed_certificate_is_replaced_if_mkcert_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    self_signed = create(tmp_path, NAMES)
    signed = tmp_path / "signed.crt"
    request = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost,IP:192.0.2.7"
    request += ["-CA", "tls.crt", "-CAkey", "tls.key", "-days", "90", "-subj", "/CN=lab", "-addext", names]
    request += ["-out", "signed.crt", "-keyout", "signed.key"]
    subprocess.run(request, cwd=tmp_path, check=True, capture_output=True)
    assert certificates.good(self_signed, NAMES)
    assert certificates.good(signed, NAMES)
    (tmp_path / "mkcert").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert not certificates.good(self_signed, NAMES)
    assert certificates.good(signed, NAMES)

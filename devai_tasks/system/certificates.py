"""TLS certificate for this machine: signed by mkcert, whose authority browsers may trust, or self-signed by openssl."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from devai_tasks.system import process

# Maximum validity in days that Apple accepts (https://support.apple.com/HT210176).
DAYS = 825
# A certificate is renewed a month before it expires.
_LEAST_SECONDS = 30 * 24 * 3600


def good(certificate: Path, names: Sequence[str]) -> bool:
    """Whether a certificate exists, is valid for another month, and covers all names and addresses.

    If mkcert is installed, a self-signed certificate is not good enough.
    """
    if not certificate.exists() or (process.which("mkcert") and _is_self_signed(certificate)):
        return False
    checks = [["-checkend", str(_LEAST_SECONDS)]]
    checks += [["-checkip" if _is_address(name) else "-checkhost", name] for name in names]
    # For a missing name, openssl prints a message and exits with 0.
    outputs = [_run("openssl", "x509", "-noout", "-in", str(certificate), *check, accepted=(0, 1)) for check in checks]
    return not any("NOT match" in output or "will expire" in output for output in outputs)


def make(certificate: Path, key: Path, names: Sequence[str], owner: str) -> str:
    """Write a certificate and its key; return the signer.

    Args:
        certificate: file of the certificate.
        key: file of the key. The caller has created it, readable only by its owner.
        names: host names and IP addresses.
        owner: common name of the subject.

    Raises:
        MissingToolError: openssl is missing.
        ToolError: mkcert or openssl failed.
    """
    if process.which("mkcert"):
        _run("mkcert", f"-cert-file={certificate}", f"-key-file={key}", *names)
        return "mkcert"
    alternatives = ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)
    settings = (
        "[req]\ndistinguished_name = name\nx509_extensions = own\nprompt = no\n"
        f"[name]\nCN = {owner}\n"
        f"[own]\nsubjectAltName = {alternatives}\nbasicConstraints = critical,CA:FALSE\n"
        "keyUsage = critical,digitalSignature\nextendedKeyUsage = serverAuth\n"
    )
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(DAYS)]
    files = ["-keyout", str(key), "-out", str(certificate), "-config", "/dev/stdin"]
    _run("openssl", "req", "-x509", *kind, *files, stdin=settings)
    return "itself"


def _is_self_signed(certificate: Path) -> bool:
    hashes = _run("openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(certificate))
    return len(set(hashes.split())) == 1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _run(program: str, verb: str, *arguments: str, stdin: str = "", accepted: Sequence[int] = (0,)) -> str:
    """Run a program and return its output. Raises MissingToolError or ToolError."""
    path = process.require(program, f"install the package {program} of your system")
    command = program if verb.startswith("-") else f"{program} {verb}"
    return process.run([path, verb, *arguments], stdin=stdin).check(command, accepted=accepted).stdout

"""A certificate for this machine: of mkcert, whose authority browsers may know, else self-signed by openssl."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from devai_tasks.system import process

# Apple's programs take no certificate for longer.
DAYS = 825
# Made again a month before its end.
_LEAST_SECONDS = 30 * 24 * 3600


def good(certificate: Path, names: Sequence[str]) -> bool:
    """Whether a certificate is there, lasts a month, and is for all the names and addresses.

    Where mkcert has come since, one that nobody else has signed is not.
    """
    if not certificate.exists() or (process.which("mkcert") and _is_self_signed(certificate)):
        return False
    checks = [["-checkend", str(_LEAST_SECONDS)]]
    checks += [["-checkip" if _is_address(name) else "-checkhost", name] for name in names]
    # For a name that is missing, the program prints that and succeeds.
    outputs = [_run("openssl", "x509", "-noout", "-in", str(certificate), *check, accepted=(0, 1)) for check in checks]
    return not any("NOT match" in output or "will expire" in output for output in outputs)


def make(certificate: Path, key: Path, names: Sequence[str], owner: str) -> str:
    """Write a certificate and its key, whose files the caller has made for nobody else to read; returns who signed it.

    Raises MissingToolError without openssl, ToolError where the program fails.
    """
    if process.which("mkcert"):
        _run("mkcert", f"-cert-file={certificate}", f"-key-file={key}", *names)
        return "mkcert"
    known = ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)
    settings = (
        "[req]\ndistinguished_name = name\nx509_extensions = own\nprompt = no\n"
        f"[name]\nCN = {owner}\n"
        f"[own]\nsubjectAltName = {known}\nbasicConstraints = critical,CA:FALSE\n"
        "keyUsage = critical,digitalSignature\nextendedKeyUsage = serverAuth\n"
    )
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(DAYS)]
    files = ["-keyout", str(key), "-out", str(certificate), "-config", "/dev/stdin"]
    _run("openssl", "req", "-x509", *kind, *files, stdin=settings)
    return "itself"


def _is_self_signed(certificate: Path) -> bool:
    both = _run("openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(certificate))
    return len(set(both.split())) == 1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _run(program: str, verb: str, *arguments: str, stdin: str = "", accepted: Sequence[int] = (0,)) -> str:
    """Return what a program prints. Raises MissingToolError or ToolError."""
    path = process.require(program, "the system's package of that name has it")
    command = program if verb.startswith("-") else f"{program} {verb}"
    return process.run([path, verb, *arguments], stdin=stdin).check(command, accepted=accepted).stdout

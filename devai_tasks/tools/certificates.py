"""A certificate for this machine: of mkcert, whose authority browsers may know, else self-signed by openssl."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path

import sh

from devai_tasks.system.errors import MissingToolError, ToolError

# Apple's programs take no certificate for longer.
DAYS = 825
# Made anew a month before its end.
_LEAST_SECONDS = 30 * 24 * 3600


def good(certificate: Path, names: Sequence[str]) -> bool:
    """Whether a certificate is there, lasts a month, and is for all the names and addresses.

    Where mkcert has come since, one that nobody else has signed is not.
    """
    if not certificate.exists() or (shutil.which("mkcert") and _is_self_signed(certificate)):
        return False
    checks = [["-checkend", str(_LEAST_SECONDS)]]
    checks += [["-checkip" if _is_address(name) else "-checkhost", name] for name in names]
    # For a name that lacks, the program says so and succeeds.
    answers = [_run("openssl", "x509", "-noout", "-in", str(certificate), *check, ok=(0, 1)) for check in checks]
    return not any("NOT match" in answer or "will expire" in answer for answer in answers)


def make(certificate: Path, key: Path, names: Sequence[str], owner: str) -> str:
    """Write a certificate and its key, whose files the caller has made for nobody else to read; returns who signed it.

    Raises MissingToolError without openssl, ToolError with its last words.
    """
    if shutil.which("mkcert"):
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
    _run("openssl", "req", "-x509", *kind, *files, given=settings)
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


def _run(program: str, *words: str, given: str = "", ok: Sequence[int] = (0,)) -> str:
    if not shutil.which(program):
        raise MissingToolError(f"{program} is not installed; the system's package of that name has it")
    try:
        run = sh.Command(program)
        return str(run(*words, _in=given, _ok_code=list(ok), _truncate_exc=False, _tty_out=False))
    except sh.ErrorReturnCode as error:
        raise ToolError(f"{program} failed:\n{error.stderr.decode(errors='replace').strip()}") from error

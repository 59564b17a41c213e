"""Environment variables that values refer to, as `${oc.env:NAME,default}`; the project must declare them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from devai_tasks.config.fields import Check
from devai_tasks.config.interpolation import interpolations
from devai_tasks.config.secrets import PROXIES

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# Variables that the shipped conf/ refers to.
SHIPPED = frozenset({"HOST_IP", "SSL_CERT_FILE"})
# Names that programs use for secrets; proxy addresses may contain a password.
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|KEY|CREDENTIAL|COOKIE|WEBHOOK|CONN(ECTION)?_?STR|_CONN_"
    r"|(PASS|BINDPW|SAS|_PWD|_PAT|_PROXY)$|(^|_)(AUTH|DSN)(_|$)"
    r"|(DB|DATABASE|REDIS\w*|MONGO\w*|AMQP|BROKER|RABBITMQ|JDBC|PG|POSTGRES\w*|MYSQL|INDEX)_?(URL|URI)$"
)
# A URL with user and password (RFC 3986, section 3.2.1), in a variable of any name.
_CREDENTIALS = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@")


@dataclass(frozen=True)
class Refusal:
    """The reason why a text is not allowed in the configuration, and the error code; empty for an error without one."""

    reason: str
    code: str = ""


def names(text: str) -> list[str]:
    """Return the names of the environment variables that a text refers to."""
    return [item.argument or "" for item in interpolations(text) if item.name == "oc.env"]


def with_password(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the environment variables whose value is a URL with a password."""
    return frozenset(name for name, value in environ.items() if _CREDENTIALS.search(value))


def refusal(text: str, declared: Collection[str], passwords: Collection[str]) -> Refusal | None:
    """Return the reason why a text may not refer to its environment variables; None if it may.

    Args:
        text: value of a key.
        declared: names that the project declares.
        passwords: names of variables whose value contains a password.
    """
    for name in names(text):
        if not re.fullmatch(NAME, name):
            return Refusal("a literal variable name, as ${oc.env:NAME,default}")
        if reason := _secret(name):
            return Refusal(reason)
        if name in passwords:
            reason = f"the value of {name} is a URL with a password: refer to it under secrets, as ${{secret:{name}}}"
            return Refusal(reason)
        if name not in declared:
            reason = f"environment variable {name} is not declared: add it to conf/common/variables.yaml"
            return Refusal(reason, code="DEVAI-CONFIG-001")
    return None


def is_undeclared(name: str, declared: Collection[str]) -> bool:
    """Whether a variable may be declared, and is not."""
    return bool(re.fullmatch(NAME, name)) and not _secret(name) and name not in declared


def _secret(name: str) -> str | None:
    if name.upper() in PROXIES or _SECRET.search(name.upper()):
        return f"{name} looks like a secret: refer to it under secrets, as ${{secret:{name.upper()}}}"
    return None


def _declarable(declared: Sequence[str]) -> str | None:
    for name in declared:
        if not re.fullmatch(NAME, name):
            return f"{name!r} is not a name for an environment variable"
        if reason := _secret(name):
            return reason
    return None


DECLARABLE = Check(_declarable, {"pattern": f"^(?:{NAME})$"})

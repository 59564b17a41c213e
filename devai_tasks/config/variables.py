"""Variables of the environment that values take in, as `${oc.env:NAME,default}`: only those that a project declares."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from devai_tasks.config.fields import Check
from devai_tasks.config.interpolation import interpolations
from devai_tasks.config.secrets import PROXIES

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# What conf/ takes in as it is shipped.
SHIPPED = frozenset({"HOST_IP", "SSL_CERT_FILE"})
# Names by which programs know secrets; addresses of proxies may hold a password.
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|KEY|CREDENTIAL|COOKIE|WEBHOOK|CONN(ECTION)?_?STR|_CONN_"
    r"|(PASS|BINDPW|SAS|_PWD|_PAT|_PROXY)$|(^|_)(AUTH|DSN)(_|$)"
    r"|(DB|DATABASE|REDIS\w*|MONGO\w*|AMQP|BROKER|RABBITMQ|JDBC|PG|POSTGRES\w*|MYSQL|INDEX)_?(URL|URI)$"
)
# An address with a user and a password (RFC 3986, section 3.2.1), whatever the variable is called.
_CREDENTIALS = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@")


@dataclass(frozen=True)
class Refusal:
    """Why a text may not stand in the configuration, and the error's code; empty for one without."""

    reason: str
    code: str = ""


def names(text: str) -> list[str]:
    """The variables of the environment that a text takes in."""
    return [found.argument or "" for found in interpolations(text) if found.name == "oc.env"]


def refusal(text: str, declared: Collection[str]) -> Refusal | None:
    """Return why a text may not take in the variables that it names; None where it may."""
    for name in names(text):
        if not re.fullmatch(NAME, name):
            return Refusal("write the name of the variable itself, as ${oc.env:NAME,default}")
        if reason := _secret(name):
            return Refusal(reason)
        if _CREDENTIALS.search(os.environ.get(name, "")):
            reason = f"the value of {name} is an address with a password: name it under secrets, as ${{secret:{name}}}"
            return Refusal(reason)
        if name not in declared:
            reason = f"the environment variable {name} is not declared: name it in conf/common/variables.yaml"
            return Refusal(reason, code="DEVAI-CONFIG-001")
    return None


def _secret(name: str) -> str | None:
    if name.upper() in PROXIES or _SECRET.search(name.upper()):
        return f"{name} looks like a secret: name it under secrets, as ${{secret:{name.upper()}}}"
    return None


def _declarable(declared: Sequence[str]) -> str | None:
    for name in declared:
        if not re.fullmatch(NAME, name):
            return f"{name!r} is not a name for an environment variable"
        if reason := _secret(name):
            return reason
    return None


DECLARABLE = Check(_declarable, {"pattern": f"^(?:{NAME})$"})

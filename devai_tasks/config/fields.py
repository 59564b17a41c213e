"""What a key of the schema is made of: its documentation, its default, what it allows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any


@dataclass(frozen=True)
class Check:
    """A limit on the values of a key."""

    refusal: Callable[[Any], str | None]
    """Takes a typed value; returns what is allowed when that is not."""
    schema: Mapping[str, Any]
    """The same as keywords of JSON Schema, as far as that can say it; for a list or map of each member."""


Known = Callable[[str, str], str]
"""What is known of a key, by its section and name, before there are settings to ask."""


@dataclass(frozen=True)
class Pending:
    """A value that only a deployment knows."""

    task: str
    """The task that makes it."""
    placeholder: str
    """What is shown and rendered before; well-formed, and obviously not real."""


@dataclass(frozen=True)
class Key:
    """The metadata of a key of the schema."""

    doc: str
    check: Check | None
    tasks: str
    layers: tuple[str, ...]
    pending: Pending | None


def key(  # noqa: PLR0913 - one option for each thing that the schema may say of a key
    doc: str,
    *,
    default: object = MISSING,
    check: Check | None = None,
    tasks: str = "",
    layers: tuple[str, ...] = (),
    pending: Pending | None = None,
) -> Any:
    """A key of the configuration; without a default, a file of `conf/` has to give it.

    `tasks` says what it decides beside artifacts; which of these it changes is observed, when they are rendered.
    `layers` are the kinds of layers that may set it, where not all may.
    """
    metadata = {"key": Key(doc, check, tasks, layers, pending)}
    if pending:
        default = ""
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def section(doc: str) -> Any:
    """A group of keys."""
    return field(metadata={"key": Key(doc, None, "", (), None)})


def between(low: int, high: int) -> Check:
    """Whole numbers from `low` to `high`."""
    return Check(
        lambda value: None if low <= value <= high else f"not in {low} to {high}", {"minimum": low, "maximum": high}
    )


def at_least(least: Any) -> Check:
    """Quantities of at least that much."""
    return Check(lambda value: None if value >= least else f"at least {least}", {})


def matching(pattern: str, words: str) -> Check:
    """Texts, or lists and maps all of whose members (keys, for a map) match the whole pattern."""

    def refusal(value: str | tuple[str, ...] | Mapping[str, Any]) -> str | None:
        members = [value] if isinstance(value, str) else value
        bad = [member for member in members if not re.fullmatch(pattern, member, re.ASCII)]
        return f"{bad[0]!r} is not {words}" if bad else None

    return Check(refusal, {"pattern": f"^(?:{pattern})$"})


def ipv4(value: str) -> str | None:
    """Addresses in dotted form."""
    try:
        IPv4Address(value)
    except ValueError:
        return f"{value!r} is not an IPv4 address, such as 127.0.0.1"
    return None


def cidrs(values: tuple[str, ...]) -> str | None:
    """Networks in CIDR form, without host bits, and written in the one way that all clouds take."""
    for value in values:
        try:
            network = str(IPv4Network(value, strict=False))
        except ValueError:
            return f"{value!r} is not an IPv4 network, such as 192.0.2.0/24"
        if value != network:
            return f"{value!r} is not an IPv4 network; did you mean {network}?"
    return None


# Networks that no address of the public internet is in.
RFC_1918 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Where clouds answer whoever asks as what the node may be: RFC 3927, and Azure's WireServer.
_METADATA = (IPv4Network("169.254.0.0/16"), IPv4Network("168.63.129.16/32"))


def egress_cidrs(values: tuple[str, ...]) -> str | None:
    """Networks in CIDR form, without those of the clouds' metadata services."""
    if refusal := cidrs(values):
        return refusal
    for value, closed in itertools.product(values, _METADATA):
        if IPv4Network(value).overlaps(closed):
            return f"{value} holds {closed}, where a cloud gives credentials of its nodes away; name smaller networks"
    return None


# What Kubernetes takes for the name of a label or annotation, with a prefix or without. The rest is of kustomize and of
# Google: out of the one a number or a truth value comes as that, the other wants a letter first.
LABEL = matching(
    r"(?!(true|True|TRUE|false|False|FALSE|null|Null|NULL)$)([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?/[A-Za-z0-9]|[A-Za-z])"
    r"([\w.-]{0,61}[A-Za-z0-9])?",
    "the name of a label, such as team or example.com/team",
)
PORT = between(1, 65535)
# The digest of no image: the placeholder before there is one.
NO_DIGEST = f"sha256:{'0' * 64}"
DIGEST = matching(r"(sha256:[0-9a-f]{64})?", "a digest: sha256: and 64 hexadecimal digits")
IMAGE = matching(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", "an image reference, such as debian:trixie-slim")
VERSION = matching(r"\d+\.\d+\.\d+", "a version, such as 1.2.3")
PIN = matching(
    r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", "an image with its digest, such as debian:trixie-slim@sha256:…"
)
# The distribution specification's rule for tags, with room for what is added to them.
TAG = matching(r"\w[\w.-]{0,63}", "a tag, such as 1.2.3 or latest")
PATH = matching(r"(?!~)[^\r\n]+", "the path of a folder (and ~ has no meaning here)")
# A DNS name of RFC 1123 with two labels or more: certificates are for nothing less.
HOST = matching(
    r"(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?)?", "a host name, such as lab.example.com"
)

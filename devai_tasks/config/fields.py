"""Definitions for keys of the schema: documentation, defaults and checks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any


@dataclass(frozen=True)
class Check:
    """A constraint on the values of a key."""

    refusal: Callable[[Any], str | None]
    """Returns what is allowed if a typed value is invalid, otherwise None."""
    schema: Mapping[str, Any]
    """The constraint as JSON Schema keywords, as far as possible; for a list or map, it applies to each member."""


Known = Callable[[str, str], str]
"""Returns the configured value of a key, by section and name, before the settings exist."""


@dataclass(frozen=True)
class Pending:
    """A value that is known only after a deployment."""

    task: str
    """The task that sets the value."""
    placeholder: str
    """The value that is shown and rendered before the deployment: well-formed, but obviously not real."""


@dataclass(frozen=True)
class Key:
    """The metadata of a key of the schema."""

    doc: str
    check: Check | None
    tasks: str
    layers: tuple[str, ...]
    pending: Pending | None


def key(  # noqa: PLR0913 - one option for each property of a key
    doc: str,
    *,
    default: object = MISSING,
    check: Check | None = None,
    tasks: str = "",
    layers: tuple[str, ...] = (),
    pending: Pending | None = None,
) -> Any:
    """Define a key of the configuration.

    Args:
        doc: Description of the key.
        default: Default value; without one, a file in `conf/` must set the key.
        check: Constraint on the value.
        tasks: What the key decides apart from artifacts. Which artifacts it changes is observed during rendering.
        layers: Kinds of layers that may set the key; empty for all.
        pending: Task that sets the value and the placeholder until then, for values known only after a deployment.
    """
    metadata = {"key": Key(doc, check, tasks, layers, pending)}
    if pending:
        default = ""
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def section(doc: str) -> Any:
    """Define a group of keys."""
    return field(metadata={"key": Key(doc, None, "", (), None)})


def between(low: int, high: int) -> Check:
    """Return a check for whole numbers from `low` to `high`."""
    return Check(
        lambda value: None if low <= value <= high else f"a number from {low} to {high}",
        {"minimum": low, "maximum": high},
    )


def at_least(least: Any) -> Check:
    """Return a check for quantities of at least `least`."""
    return Check(lambda value: None if value >= least else f"at least {least}", {})


def matching(pattern: str, description: str) -> Check:
    """Return a check for strings that match a pattern as a whole.

    In a list, all members must match; in a map, all keys.

    Args:
        pattern: Regular expression.
        description: Description of valid strings, to follow "is not".
    """

    def refusal(value: str | tuple[str, ...] | Mapping[str, Any]) -> str | None:
        members = [value] if isinstance(value, str) else value
        invalid = [member for member in members if not re.fullmatch(pattern, member, re.ASCII)]
        return f"{invalid[0]!r} is not {description}" if invalid else None

    return Check(refusal, {"pattern": f"^(?:{pattern})$"})


def ipv4(value: str) -> str | None:
    """Return the reason why a value is not an IPv4 address; None for a valid one."""
    try:
        IPv4Address(value)
    except ValueError:
        return f"{value!r} is not an IPv4 address, such as 127.0.0.1"
    return None


def cidrs(values: tuple[str, ...]) -> str | None:
    """Return the reason why a value is not a list of IPv4 networks; None for a valid one.

    All clouds accept canonical CIDR notation only, without host bits.
    """
    for value in values:
        try:
            network = str(IPv4Network(value, strict=False))
        except ValueError:
            return f"{value!r} is not an IPv4 network, such as 192.0.2.0/24"
        if value != network:
            return f"{value!r} is not an IPv4 network; did you mean {network}?"
    return None


# Private networks, which are not on the public internet.
RFC_1918 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Metadata services, which give the node's credentials to any client: RFC 3927, and Azure's WireServer.
_METADATA = (IPv4Network("169.254.0.0/16"), IPv4Network("168.63.129.16/32"))


def egress_cidrs(values: tuple[str, ...]) -> str | None:
    """Return the reason why networks are invalid or contain a cloud's metadata service; None for valid ones."""
    if refusal := cidrs(values):
        return refusal
    for value, blocked in itertools.product(values, _METADATA):
        if IPv4Network(value).overlaps(blocked):
            return f"{value} contains {blocked}, the metadata service with the node's credentials; use smaller networks"
    return None


# Valid names of labels and annotations in Kubernetes, with or without a prefix. Further limits: kustomize converts
# numbers and truth values, and Google Cloud requires a letter first.
LABEL = matching(
    r"(?!(true|True|TRUE|false|False|FALSE|null|Null|NULL)$)([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?/[A-Za-z0-9]|[A-Za-z])"
    r"([\w.-]{0,61}[A-Za-z0-9])?",
    "a label name, such as team or example.com/team",
)
PORT = between(1, 65535)
# Placeholder for the digest of an image that was not pushed yet.
NO_DIGEST = f"sha256:{'0' * 64}"
DIGEST = matching(r"(sha256:[0-9a-f]{64})?", "a digest: sha256: and 64 hexadecimal digits")
IMAGE = matching(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", "an image reference, such as debian:trixie-slim")
VERSION = matching(r"\d+\.\d+\.\d+", "a version, such as 1.2.3")
PIN = matching(
    r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", "an image with its digest, such as debian:trixie-slim@sha256:…"
)
# The distribution specification's rule for tags, with a lower maximum length to allow for suffixes.
TAG = matching(r"\w[\w.-]{0,63}", "a tag, such as 1.2.3 or latest")
PATH = matching(r"(?!~)[^\r\n]+", "a folder path (~ is not expanded)")
# A DNS name (RFC 1123) with at least two labels, which certificates require.
HOST = matching(
    r"(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?)?", "a host name, such as lab.example.com"
)

"""What a stack and its state are called in a cloud: names that differ whenever stacks differ."""

from __future__ import annotations

import hashlib
import json

from devai_tasks.config.schema import Settings

LAB, OLLAMA, CHROMA = SERVICES = ("devai", "ollama", "chroma")
"""The services of a stack, as Compose and Kubernetes call them."""
# The longest name: key vaults and storage accounts of Azure take no more ("Naming rules and restrictions for Azure
# resources"), and what is added to it has to fit into the other services' limits.
LONGEST = 24
# Hexadecimal digits of the hash in a name: a chance of one in a million for a thousand stacks of an account.
_HASH = 10


def stack(settings: Settings) -> str:
    """Return the name of the stack on a machine and in a cluster: of its Compose project, and of its namespace."""
    return f"{settings.project.name}-{settings.stack}"


def name(settings: Settings) -> str:
    """Return the name of the stack's resources: up to 24 lower-case letters, digits and hyphens.

    A deployed stack keeps the name that its state records, whatever made it.
    """
    words = f"{settings.project.name}-{settings.stack.environment}"[: LONGEST - _HASH - 1].rstrip("-")
    return settings.terraform.deployed.name or f"{words}-{_hash(settings)}"


def unique(settings: Settings) -> str:
    """Return the name of what is named across a whole cloud: up to 24 letters and digits. A deployed stack keeps it."""
    words = f"{settings.project.name}{settings.stack.environment}".replace("-", "")[: LONGEST - _HASH]
    return settings.terraform.deployed.unique or f"{words}{_hash(settings)}"


def _hash(settings: Settings) -> str:
    """Return the hash of all that makes a stack another one."""
    project, stack, terraform = settings.project, settings.stack, settings.terraform
    identity = [project.id, project.name, stack.cloud, stack.environment, terraform.account, terraform.region]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_HASH]


def first_name(settings: Settings) -> str:
    """Return what version 0.1 called the stack's resources."""
    full = f"{settings.project.name}-{settings.stack.environment}"
    return full if len(full) <= LONGEST else f"{full[:15].removesuffix('-')}-{_first_hash(settings)}"


def first_unique(settings: Settings) -> str:
    """Return what version 0.1 called what is named across a whole cloud."""
    full = f"{settings.project.name}-{settings.stack.environment}"
    return f"{full.replace('-', '')[:16]}{_first_hash(settings)}"


def _first_hash(settings: Settings) -> str:
    full = f"{settings.terraform.account}/{settings.project.name}-{settings.stack.environment}"
    return hashlib.sha1(full.encode()).hexdigest()[:8]  # noqa: S324 - of a name


def state(settings: Settings) -> str:
    """Return where the stack's state is in its store: no two projects, accounts, regions or stacks share one."""
    own = settings.terraform
    parts = settings.project.name, own.account, own.region, settings.stack.cloud, settings.stack.environment
    return own.deployed.state or "/".join(parts)


def first_state(settings: Settings) -> str:
    """Return where version 0.1 kept the stack's state."""
    return str(settings.stack)

"""Names of a stack and its state in a cloud, which are unique to each stack."""

from __future__ import annotations

import hashlib
import json

from devai_tasks.config.schema import Settings

LAB, OLLAMA, CHROMA = SERVICES = ("devai", "ollama", "chroma")
"""Names of the services in Compose and Kubernetes."""
# Maximum length of a name: the limit of Azure key vaults and storage accounts ("Naming rules and restrictions for Azure
# resources"). Names with suffixes stay within the limits of the other services.
LONGEST = 24
# Hexadecimal digits of the hash in a name: the chance of a collision is one in a million for 1000 stacks of an account.
_HASH = 10


def stack(settings: Settings) -> str:
    """Return the name of the stack's Compose project and of its namespace in a cluster."""
    return f"{settings.project.name}-{settings.stack}"


def name(settings: Settings) -> str:
    """Return the name of the stack's resources: up to 24 lower-case letters, digits and hyphens.

    A deployed stack keeps the name that its state records, also if another version created the name.
    """
    prefix = f"{settings.project.name}-{settings.stack.environment}"[: LONGEST - _HASH - 1].rstrip("-")
    return settings.terraform.deployed.name or f"{prefix}-{_hash(settings)}"


def unique(settings: Settings) -> str:
    """Return the name of globally unique resources: up to 24 letters and digits. A deployed stack keeps its name."""
    prefix = f"{settings.project.name}{settings.stack.environment}".replace("-", "")[: LONGEST - _HASH]
    return settings.terraform.deployed.unique or f"{prefix}{_hash(settings)}"


def _hash(settings: Settings) -> str:
    """Return the hash of the stack's identity."""
    project, stack, terraform = settings.project, settings.stack, settings.terraform
    identity = [project.id, project.name, stack.cloud, stack.environment, terraform.account, terraform.region]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_HASH]


def first_name(settings: Settings) -> str:
    """Return the name of the stack's resources in version 0.1."""
    full = f"{settings.project.name}-{settings.stack.environment}"
    return full if len(full) <= LONGEST else f"{full[:15].removesuffix('-')}-{_first_hash(settings)}"


def first_unique(settings: Settings) -> str:
    """Return the name of globally unique resources in version 0.1."""
    full = f"{settings.project.name}-{settings.stack.environment}"
    return f"{full.replace('-', '')[:16]}{_first_hash(settings)}"


def _first_hash(settings: Settings) -> str:
    full = f"{settings.terraform.account}/{settings.project.name}-{settings.stack.environment}"
    return hashlib.sha1(full.encode()).hexdigest()[:8]  # noqa: S324 - of a name, not for security


def state(settings: Settings) -> str:
    """Return the path of the state in its store, which is unique to each project, account, region and stack."""
    terraform = settings.terraform
    parts = settings.project.name, terraform.account, terraform.region, settings.stack.cloud, settings.stack.environment
    return terraform.deployed.state or "/".join(parts)


def first_state(settings: Settings) -> str:
    """Return the path of the stack's state in version 0.1."""
    return str(settings.stack)

"""Secret values of a stack, resolved at the moment of deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.system import console, sops
from devai_tasks.workspace import state


def values(project: Project, settings: Settings) -> dict[str, str]:
    """Return the value of each secret variable; empty if one of its secrets is not set on this machine.

    The cloud's secret manager is not queried here: the deployment reads its values directly.
    """
    names = {name for secret in settings.secrets.values() for name in secret.names}
    resolved = secrets.resolve(project, sorted(names), decrypt=sops.decrypt)
    return {name: secret.reveal(resolved) for name, secret in settings.secrets.items()}


@dataclass(frozen=True)
class Handover:
    """Desired content of a secret store. Confidential."""

    values: Mapping[str, str] = field(repr=False)
    """Value of each secret variable; empty if neither this machine nor the store has a value."""
    kept: tuple[str, ...] = ()
    """Variables without a value on this machine, whose stored value is kept."""


def beside(project: Project, settings: Settings, stored: Mapping[str, str]) -> Handover:
    """Return the values of this machine, completed with stored values for secrets that have no value here.

    A stored value is removed only when its name is removed from `secrets` in the configuration.
    """
    local = values(project, settings)
    kept = {name: stored[name] for name, value in local.items() if not value and stored.get(name)}
    return Handover({**local, **kept}, tuple(kept))


def report_kept(names: Iterable[str]) -> None:
    """Print which stored secrets are kept."""
    for name in names:
        console.say(f"{name}: no value on this machine; the stored value is kept")


def proxies(project: Project, settings: Settings) -> dict[str, str]:
    """Return the proxy variables among the secrets. The values may contain passwords: handle them as secrets.

    SOPS is optional here, because most networks need no proxy.
    """
    variables = {name: secret for name, secret in settings.secrets.items() if name in secrets.PROXIES}
    names = {name for secret in variables.values() for name in secret.names}
    resolved = secrets.resolve(project, sorted(names), decrypt=sops.decrypt if sops.present() else None)
    return {name: value for name, secret in variables.items() if (value := secret.reveal(resolved))}


def for_a_cloud(project: Project, settings: Settings) -> dict[str, str]:
    """Return what is written to a cloud's secret manager: the lab's token, and secret variables with a value here.

    A token in the secret manager that another machine created is kept.
    """
    variables = values(project, settings)
    local = {name: value for name, value in variables.items() if value}
    report_kept(name for name in variables if name not in local and name in settings.terraform.secret_versions)
    if TOKEN in settings.terraform.secret_versions and not state.has_token(project, settings.stack):
        return local
    return {TOKEN: state.token(project, settings.stack), **local}

"""The secrets of a stack, at the moment of handing them over."""

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
    """What each of the stack's secret variables holds; empty where one of its secrets is set nowhere on this machine.

    A cloud's own manager is not asked here: what stands there, the deployment takes from it.
    """
    names = {name for secret in settings.secrets.values() for name in secret.names}
    found = secrets.resolve(project, sorted(names), decrypt=sops.decrypt)
    return {name: secret.reveal(found) for name, secret in settings.secrets.items()}


@dataclass(frozen=True)
class Handover:
    """What a store of secrets is to have, for the caller's eyes only."""

    values: Mapping[str, str] = field(repr=False)
    """The value of each secret variable; empty where it has one neither on this machine nor in the store."""
    kept: tuple[str, ...] = ()
    """The variables without a value on this machine, whose stored one is left as it is."""


def beside(project: Project, settings: Settings, stored: Mapping[str, str]) -> Handover:
    """The values of this machine, and of a secret without one what the store has.

    A value goes only with its name: out of `secrets` in the configuration.
    """
    own = values(project, settings)
    kept = {name: stored[name] for name, value in own.items() if not value and stored.get(name)}
    return Handover({**own, **kept}, tuple(kept))


def report_kept(names: Iterable[str]) -> None:
    """Print which secrets are left as they are."""
    for name in names:
        console.say(f"{name}: no value here; the stored one is kept")


def proxies(project: Project, settings: Settings) -> dict[str, str]:
    """The way out of this network, by the names that programs know; for whoever handles them as secrets only.

    Most networks need none, so nobody needs SOPS to look for it.
    """
    own = {name: secret for name, secret in settings.secrets.items() if name in secrets.PROXIES}
    names = {name for secret in own.values() for name in secret.names}
    found = secrets.resolve(project, sorted(names), decrypt=sops.decrypt if sops.present() else None)
    return {name: value for name, secret in own.items() if (value := secret.reveal(found))}


def for_a_cloud(project: Project, settings: Settings) -> dict[str, str]:
    """What a cloud's secret manager gets: the lab's token, and the secret variables that have a value here.

    Where it has a token that was made on another machine, that stays the lab's.
    """
    every = values(project, settings)
    own = {name: value for name, value in every.items() if value}
    report_kept(name for name in every if name not in own and name in settings.terraform.secret_versions)
    if TOKEN in settings.terraform.secret_versions and not state.has_token(project, settings.stack):
        return own
    return {TOKEN: state.token(project, settings.stack), **own}

"""The secrets of a stack, at the moment of handing them over."""

from __future__ import annotations

from devai_tasks import state
from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.render import terraform
from devai_tasks.tools import sops


def values(project: Project, settings: Settings) -> dict[str, str]:
    """What each of the stack's secret variables holds; empty where one of its secrets is set nowhere on this machine.

    A cloud's own manager is not asked here: what stands there, the deployment takes from it.
    """
    names = {name for secret in settings.secrets.values() for name in secret.names}
    found = secrets.resolve(project, sorted(names), decrypt=sops.decrypt)
    return {name: secret.reveal(found) for name, secret in settings.secrets.items()}


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
    own = {name: value for name, value in values(project, settings).items() if value}
    if terraform.TOKEN in settings.terraform.secret_versions and not state.has_token(project, settings.stack):
        return own
    return {terraform.TOKEN: state.token(project, settings.stack), **own}

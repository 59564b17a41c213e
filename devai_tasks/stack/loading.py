"""Knowledge of clouds and artifacts for loading a configuration: implements `config.load.Deployment`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from devai_tasks import clouds
from devai_tasks.config import rules
from devai_tasks.config.document import Key
from devai_tasks.config.fields import Known
from devai_tasks.config.reader import UnreadableError
from devai_tasks.config.rules import Mistake
from devai_tasks.config.schema import Settings


def mistakes(settings: Settings) -> Iterable[Mistake]:
    """Return the violated rules between the keys of a stack, including the rules of its cloud."""
    try:
        of_cloud = clouds.of(settings).rules()
    except UnreadableError:
        of_cloud = ()
    return rules.mistakes((*rules.RULES, *of_cloud), settings)


def unknown(known: Known) -> Collection[str]:
    """Return the keys whose values are known only after deployment in the stack's cloud."""
    cloud = clouds.ALL.get(known("compute", "provider"))
    return cloud.unknown_before_deployment(known) if cloud else ()


def affected(settings: Settings) -> Mapping[Key, Collection[str]]:
    """Return the affected artifacts of a stack, by key."""
    from devai_tasks.stack import affected

    return affected.of_stack(settings)

"""An existing cluster, which neither Terraform nor a cloud's command line manages."""

from __future__ import annotations

from collections.abc import Iterator

from devai_tasks.clouds import rules
from devai_tasks.clouds.base import Cloud
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake, Rule
from devai_tasks.config.schema import Settings


class ExistingCluster(Cloud):
    """An existing cluster of the user, selected by its kubectl context."""

    name = "none"

    def rules(self) -> tuple[Rule, ...]:
        """Return the validation rules of stacks in an existing cluster."""
        return (rules.protected_on_a_network, rules.not_of_this_machine, _cluster, rules.named_ingress)

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the keys of the digests of pushed images."""
        return frozenset({"image.digest", "image.gpu.digest"})

    def home_is_on_one_node(self, settings: Settings) -> bool:
        """Whether the home is on a volume that only one node can mount at a time."""
        return settings.storage.access == "ReadWriteOnce"


def _cluster(settings: Settings) -> Iterator[Mistake]:
    if settings.compute.platform != "kubernetes":
        yield Mistake(("compute", "platform"), "kubernetes: compute.provider is none, which means an existing cluster")
    elif not settings.kubernetes.context:
        yield Mistake(("kubernetes", "context"), "the cluster's context, as `kubectl config get-contexts` shows it")

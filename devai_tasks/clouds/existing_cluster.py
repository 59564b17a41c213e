"""A cluster that exists: neither Terraform nor a cloud's command line knows it."""

from __future__ import annotations

from collections.abc import Iterator

from devai_tasks.clouds import rules
from devai_tasks.clouds.base import Cloud
from devai_tasks.config.fields import Known
from devai_tasks.config.rules import Mistake, Rule
from devai_tasks.config.schema import Settings


class ExistingCluster(Cloud):
    """A cluster of the user's own, by its context."""

    name = "none"

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules of stacks in such a cluster."""
        return (rules.protected_on_a_network, rules.not_of_this_machine, _cluster, rules.named_ingress)

    def unknown_before_deployment(self, known: Known) -> frozenset[str]:
        """Return the digests of images that are pushed."""
        return frozenset({"image.digest", "image.gpu.digest"})

    def home_is_on_one_node(self, settings: Settings) -> bool:
        """Whether the home is a volume that one node has at a time."""
        return settings.storage.access == "ReadWriteOnce"


def _cluster(settings: Settings) -> Iterator[Mistake]:
    if settings.compute.platform != "kubernetes":
        yield Mistake(("compute", "platform"), "kubernetes: compute.provider is none, which is a cluster of your own")
    elif not settings.kubernetes.context:
        yield Mistake(("kubernetes", "context"), "the cluster's context, as `kubectl config get-contexts` shows it")

"""This machine: Docker Compose runs the lab; optionally, a local cluster runs it."""

from __future__ import annotations

from devai_tasks.clouds import rules
from devai_tasks.clouds.base import Cloud
from devai_tasks.config.rules import Rule


class Local(Cloud):
    """This machine."""

    name = "local"

    def rules(self) -> tuple[Rule, ...]:
        """Return the validation rules of stacks on this machine."""
        return (rules.published, rules.named_ingress)

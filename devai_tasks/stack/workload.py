"""Workload: what runs the lab of a stack (Docker Compose, Kubernetes, or a cloud's managed containers)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devai_tasks.stack.overview import Overview
from devai_tasks.stack.session import Session
from devai_tasks.stack.steps import Step
from devai_tasks.system.errors import UsageError
from devai_tasks.targets import addresses
from devai_tasks.workspace.ownership import Owner

# The drift of a stack that only a plan finds.
PLANNED = "not checked; `inv plan` shows it"
Row = dict[str, str]
"""A running part of a stack: target, what, state and version."""


@dataclass(frozen=True)
class Workload(ABC):
    """A way to run the lab of a stack.

    A step may record values (a registry, the digest of an image, a cluster) that the next step needs, so steps reload
    the session.
    """

    session: Session

    @abstractmethod
    def up(self, *, seconds: int) -> list[Step]:
        """Return the steps that bring up the lab from any state; each part gets `seconds` to start."""

    @abstractmethod
    def down(self, *, data: bool) -> list[Step]:
        """Return the steps that remove the stack; without `data`, its data is kept."""

    @abstractmethod
    def stop(self) -> list[Step]:
        """Return the steps that scale the stack to zero."""

    @abstractmethod
    def start(self, *, seconds: int) -> list[Step]:
        """Return the steps that start what `stop` has stopped, without applying changes."""

    @abstractmethod
    def rotate(self, *, seconds: int) -> None:
        """Ask, replace the lab's token, and restart what runs with the new token."""

    @abstractmethod
    def compare(self, result: Overview) -> None:
        """Add what `up` would change to `result`."""

    @abstractmethod
    def rows(self) -> Iterable[Row]:
        """Return what runs."""

    @abstractmethod
    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """Return the logs of services; an empty list means all services."""

    @abstractmethod
    def token(self) -> str:
        """Return the lab's token; under `--dry` print the command that reads it, and return an empty text."""

    def owner(self) -> Owner | None:
        """Return the owner of the stack; None where it can't be determined."""
        return None

    def drift(self) -> str:
        """Return how the running stack differs from the configuration, or which command shows it."""
        return PLANNED

    def address(self) -> str:
        """Return the lab's address; empty where the configuration names none."""
        return addresses.url(self.session.settings)

    def link(self) -> str:
        """Return the lab's address with its token. Raises UsageError where the configuration names none."""
        if not (url := self.address()):
            raise UsageError(addresses.access_hint(self.session.settings))
        return url if self.session.dry else f"{url}lab?token={self.token()}"

    def opened(self) -> str:
        """Return the link for a browser; under `--dry` print the command that reads the token."""
        if self.session.dry:
            self.token()
        return self.link()

    def wait_for_address(self, *, seconds: int) -> Step:
        """Return the step that waits until the lab answers."""
        return Step(
            "address",
            "wait until the lab answers",
            lambda: addresses.wait(self.session.reloaded().settings, seconds=seconds, dry=self.session.dry),
        )


def drift_of(result: Overview) -> str:
    """Return the number of changes in an overview, and what was not compared."""
    count = f"{len(result.changes)} changes, `inv plan` shows them" if result.changes else "none"
    return "; ".join([count, *result.notes])

"""What runs the lab: Docker Compose, Kubernetes, or a cloud's managed containers."""

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

# What tells how a stack differs from its configuration, where `status` does not.
PLANNED = "`inv plan` looks for it"
Row = dict[str, str]
"""A part of a stack that runs: target, what, state and version."""


@dataclass(frozen=True)
class Workload(ABC):
    """A way to run the lab of a stack.

    What a step makes known (a registry, the digest of an image, a cluster) is in the configuration of the next step, so
    steps reload the session.
    """

    session: Session

    @abstractmethod
    def up(self, *, seconds: int) -> list[Step]:
        """Return the steps from whatever is there to a lab that answers; each part gets `seconds` to start."""

    @abstractmethod
    def down(self, *, data: bool) -> list[Step]:
        """Return the steps that remove the stack; without `data`, its data stays."""

    @abstractmethod
    def stop(self) -> list[Step]:
        """Return the steps that scale what computes to zero."""

    @abstractmethod
    def start(self, *, seconds: int) -> list[Step]:
        """Return the steps that start what `stop` has stopped, as it was."""

    @abstractmethod
    def rotate(self, *, seconds: int) -> None:
        """Ask, and replace the lab's token; what runs is restarted with the new one."""

    @abstractmethod
    def compare(self, found: Overview) -> None:
        """Add what `up` would change."""

    @abstractmethod
    def rows(self) -> Iterable[Row]:
        """Return what runs."""

    @abstractmethod
    def logs(self, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
        """Return what services print, all for none."""

    @abstractmethod
    def token(self) -> str:
        """Return the lab's token; under `--dry` empty, with the command that gets it printed."""

    def owner(self) -> Owner | None:
        """Return whose the stack is; None where that can't be asked."""
        return None

    def drift(self) -> str:
        """Return how what runs differs from the configuration, or what tells so."""
        return PLANNED

    def address(self) -> str:
        """Return the lab's address; empty where the configuration names none."""
        return addresses.url(self.session.settings)

    def link(self) -> str:
        """Return the lab's address with its token. Raises UsageError where the configuration names none."""
        if not (url := self.address()):
            raise UsageError(addresses.detour(self.session.settings))
        return url if self.session.dry else f"{url}lab?token={self.token()}"

    def opened(self) -> str:
        """Return the same for a browser; under `--dry` what gets the token is printed."""
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


def drift_of(found: Overview) -> str:
    """Return how many changes an overview has, and what was not compared."""
    count = f"{len(found.changes)} changes, `inv plan` shows them" if found.changes else "none"
    return "; ".join([count, *found.notes])

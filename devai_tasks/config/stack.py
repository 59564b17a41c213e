"""A stack: one environment on one cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """What everything generated, locked, stored or named is keyed by."""

    environment: str
    cloud: str

    def __str__(self) -> str:
        return f"{self.cloud}-{self.environment}"

"""A stack: one environment on one cloud."""

from __future__ import annotations

from dataclasses import dataclass, field

# What names of environments and clouds may be: they are parts of names everywhere (RFC 1123 labels).
STACK_NAME = r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?"
STACK_NAME_WORDS = "such a name has up to 30 lower-case letters, digits and hyphens"


@dataclass(frozen=True)
class Stack:
    """What everything generated, locked, stored or named is keyed by."""

    environment: str
    cloud: str
    changes: str = field(default="", compare=False)
    """The flags that change it for this run only, such as `--gpu`, as a person types them: it is the same stack."""

    def __str__(self) -> str:
        return f"{self.cloud}-{self.environment}"

    @property
    def flags(self) -> str:
        """What a person types to mean it, as it is in this run."""
        return " ".join(filter(None, [f"--env={self.environment}", f"--cloud={self.cloud}", self.changes]))

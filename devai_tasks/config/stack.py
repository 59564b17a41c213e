"""A stack: one environment on one cloud."""

from __future__ import annotations

from dataclasses import dataclass, field

# Valid names of environments and clouds, which are parts of other names (RFC 1123 labels).
STACK_NAME = r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?"
STACK_NAME_RULE = "a name of up to 30 lower-case letters, digits and hyphens"


@dataclass(frozen=True)
class Stack:
    """Environment and cloud, which identify generated files, locks, state and names."""

    environment: str
    cloud: str
    changes: str = field(default="", compare=False)
    """Flags that change the stack for this run only, such as `--gpu`, as command line text. They do not identify it."""

    def __str__(self) -> str:
        return f"{self.cloud}-{self.environment}"

    @property
    def flags(self) -> str:
        """Command line flags that select the stack, with the changes of this run."""
        return " ".join(filter(None, [f"--env={self.environment}", f"--cloud={self.cloud}", self.changes]))

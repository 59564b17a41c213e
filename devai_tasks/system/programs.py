"""Programs of this machine: which are here, and in which version."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError

Version = tuple[int, ...]
# The clouds' command lines take seconds for this; one that takes longer has no answer.
SECONDS = 30
# No program looks for news of itself because somebody wants its version.
_QUIET = {"SOPS_DISABLE_VERSION_CHECK": "1", "CHECKPOINT_DISABLE": "1", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}


@dataclass(frozen=True)
class Program:
    """A program that somebody may need."""

    name: str
    ask: tuple[str, ...]
    """The command that prints its version."""
    install: str
    """How to get it, in words for a person."""
    least: Version = ()
    says: str = ""
    """What stands before its version, where another program may go by its name."""


def answer(ask: Sequence[str]) -> str | None:
    """Return what a command prints that asks for a version; None without the program, or without an answer.

    Threads may ask at the same time.
    """
    program = process.which(ask[0])
    if not program:
        return None
    options = process.Options(env=os.environ | _QUIET)
    try:
        result = process.run_in_thread([program, *ask[1:]], timeout=SECONDS, options=options)
    except (MissingToolError, ToolError):
        return None
    return result.stdout + result.stderr if result.returncode == 0 else None


def version(said: str | None, name: str = "") -> str | None:
    """Return the version in what a program prints, its own or that of a part called `name`; None without one."""
    found = re.search(rf"{name}\D*(\d+(?:\.\d+)+)", said or "")
    return found[1] if found else None


def parse(text: str) -> Version:
    """Return a version as it is compared."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def gpus() -> list[str]:
    """Return the names of this machine's NVIDIA GPUs, as its driver knows them; none without a driver."""
    program = process.which("nvidia-smi")
    if not program:
        return []
    try:
        result = process.run([program, "--query-gpu=name", "--format=csv,noheader"], timeout=SECONDS)
    except (MissingToolError, ToolError):
        return []
    return result.stdout.strip().splitlines() if result.returncode == 0 else []

"""Programs on this machine: which are installed, and their versions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError

Version = tuple[int, ...]
# Timeout of a version query. The clouds' command lines take several seconds.
SECONDS = 30
# Disable update checks of programs during version queries.
_QUIET = {"SOPS_DISABLE_VERSION_CHECK": "1", "CHECKPOINT_DISABLE": "1", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}


@dataclass(frozen=True)
class Program:
    """A program that tasks may need."""

    name: str
    ask: tuple[str, ...]
    """The command that prints its version."""
    install: str
    """How to install the program, as a hint for the user."""
    least: Version = ()
    says: str = ""
    """Text before the version in the output, which distinguishes the program from another one of the same name."""


def answer(ask: Sequence[str]) -> str | None:
    """Return the output of a version query; None if the program is missing, fails or does not answer in time.

    May be called from several threads at the same time.
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


def version(output: str | None, name: str = "") -> str | None:
    """Return the version in a program's output, or the version of its component `name`; None without one."""
    match = re.search(rf"{name}\D*(\d+(?:\.\d+)+)", output or "")
    return match[1] if match else None


def parse(text: str) -> Version:
    """Return a version as a tuple of numbers, for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def gpus() -> list[str]:
    """Return the names of this machine's NVIDIA GPUs as the driver reports them; empty without a driver."""
    program = process.which("nvidia-smi")
    if not program:
        return []
    try:
        result = process.run([program, "--query-gpu=name", "--format=csv,noheader"], timeout=SECONDS)
    except (MissingToolError, ToolError):
        return []
    return result.stdout.strip().splitlines() if result.returncode == 0 else []

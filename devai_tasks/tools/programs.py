"""Programs of this machine: which are here, and in which version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def which(name: str) -> str | None:
    """Where a program is: on PATH, or beside the interpreter, where extras of this package put theirs."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def answer(ask: Sequence[str]) -> str | None:
    """What a command prints that asks for a version; None where there is no such program, or it has no answer."""
    program = which(ask[0])
    if not program:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a program asked for its version
            [program, *ask[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            env=os.environ | _QUIET,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def version(said: str | None, name: str = "") -> str | None:
    """The version in what a program says, its own or that of a part that it calls by a `name`; None without one."""
    found = re.search(rf"{name}\D*(\d+(?:\.\d+)+)", said or "")
    return found[1] if found else None


def parse(text: str) -> Version:
    """A version as it is compared."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def gpus() -> list[str]:
    """The names of this machine's NVIDIA GPUs, as its driver knows them; none without a driver."""
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    ask = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 - the driver's own
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []

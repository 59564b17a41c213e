"""The clouds' own command lines: whose credentials these are, and the store for Terraform's state."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

from devai_tasks import console
from devai_tasks.errors import ToolFailed, ToolMissing

INSTALL = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "az": "https://learn.microsoft.com/cli/azure/install-azure-cli",
    "gcloud": "https://cloud.google.com/sdk/docs/install",
}


def ask(command: Sequence[str]) -> str:
    """What a command prints. Raises ToolMissing without the program, ToolFailed with its last words."""
    program = command[0]
    if not shutil.which(program):
        raise ToolMissing(f"{program} is not installed; {INSTALL[program]} says how")
    answer = subprocess.run(  # noqa: S603 - one of the programs above
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if answer.returncode:
        words = "\n".join(answer.stderr.strip().splitlines()[-5:])
        raise ToolFailed(f"{shlex.join(command)} failed (exit code {answer.returncode}):\n{words}")
    return answer.stdout.strip()


def run(command: Sequence[str], *, dry: bool = False) -> None:
    """Run a command that changes something; under --dry say it."""
    console.say(shlex.join(command))
    if not dry:
        ask(command)


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command finds what it asks for. Raises ToolMissing without the program."""
    try:
        ask(command)
    except ToolFailed:
        return False
    return True

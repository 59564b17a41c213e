"""The clouds' own command lines: whose credentials these are, and the store for Terraform's state."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

from devai_tasks import console
from devai_tasks.system.errors import MissingToolError, ToolError, tail

INSTALL = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "az": "https://learn.microsoft.com/cli/azure/install-azure-cli",
    "gcloud": "https://cloud.google.com/sdk/docs/install",
}
# In a network that swallows all, they would go on for minutes.
SECONDS = 60


def ask(command: Sequence[str], *, patient: bool = False) -> str:
    """What a command prints. Raises MissingToolError without the program, ToolError with its last words.

    One that is not `patient` fails without any after a minute.
    """
    program = command[0]
    if not shutil.which(program):
        raise MissingToolError(f"{program} is not installed", hint=f"{INSTALL[program]} says how")
    try:
        answer = subprocess.run(  # noqa: S603 - one of the programs above
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=None if patient else SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"no answer in {SECONDS:g} s", command=shlex.join(command)) from error
    if answer.returncode:
        # Never what is on its standard output, which may be a secret.
        reason = tail(answer.stderr) or "no reason is given"
        raise ToolError(reason, command=shlex.join(command), returncode=answer.returncode, stderr=answer.stderr)
    return answer.stdout.strip()


def run(command: Sequence[str], *, dry: bool = False) -> None:
    """Run a command that changes something; under --dry say it."""
    console.say(shlex.join(command))
    if not dry:
        ask(command, patient=True)


def finds(command: Sequence[str], found: str = "") -> bool:
    """Whether a command finds what it asks for, and its answer has `found`.

    Raises MissingToolError without the program.
    """
    try:
        return found in ask(command)
    except ToolError:
        return False

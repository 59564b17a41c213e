"""The clouds' own command lines: whose credentials these are, and the store for Terraform's state."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from devai_tasks.system import console, process
from devai_tasks.system.errors import ToolError, tail

INSTALL = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "az": "https://learn.microsoft.com/cli/azure/install-azure-cli",
    "gcloud": "https://cloud.google.com/sdk/docs/install",
}
# In a network that drops every packet, they would go on for minutes.
SECONDS = 60
# What they print where nothing could be reached.
_UNREACHED = ("could not connect to the endpoint", "connection", "max retries exceeded", "failed to resolve")


class UnreachableError(ToolError):
    """The cloud could not be reached, or gave no answer in time."""


def ask(command: Sequence[str], *, patient: bool = False) -> str:
    """Return what a command prints.

    Args:
        command: one of the programs above, with its arguments.
        patient: whether it may take longer than SECONDS.

    Raises:
        MissingToolError: the program is not installed.
        UnreachableError: the cloud could not be reached.
        ToolError: the command failed for another reason.
    """
    name, line = command[0], shlex.join(command)
    program = process.require(name, f"{INSTALL[name]} says how")
    try:
        result = process.run([program, *command[1:]], timeout=None if patient else SECONDS)
    except process.TimedOutError as error:
        raise UnreachableError(error.message, command=line) from error
    try:
        # Some print a secret or a token.
        return result.check(line, secret=True).stdout.strip()
    except ToolError as error:
        if any(words in tail(error.stderr).lower() for words in _UNREACHED):
            raise UnreachableError(command=line, returncode=error.returncode, stderr=error.stderr) from error
        raise


def run(command: Sequence[str], *, dry: bool = False) -> None:
    """Run a command that changes something; with `dry`, print it only."""
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

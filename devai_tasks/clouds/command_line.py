"""Command lines of the clouds, for credentials and the store of Terraform's state."""

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
# Without a limit, a command in a network that drops all packets runs for minutes.
SECONDS = 60
# Output of the command lines if a service cannot be reached.
_UNREACHABLE = ("could not connect to the endpoint", "connection", "max retries exceeded", "failed to resolve")


class UnreachableError(ToolError):
    """The cloud could not be reached or did not respond in time."""


def ask(command: Sequence[str], *, patient: bool = False) -> str:
    """Return the output of a command, without white space around it.

    Args:
        command: One of the programs in `INSTALL`, with its arguments.
        patient: Whether the command may run longer than SECONDS.

    Raises:
        MissingToolError: The program is not installed.
        UnreachableError: The cloud could not be reached.
        ToolError: The command failed for another reason.
    """
    name, line = command[0], shlex.join(command)
    program = process.require(name, f"see {INSTALL[name]}")
    try:
        result = process.run([program, *command[1:]], timeout=None if patient else SECONDS)
    except process.TimedOutError as error:
        raise UnreachableError(error.message, command=line) from error
    try:
        # Some commands print a secret or a token.
        return result.check(line, secret=True).stdout.strip()
    except ToolError as error:
        if any(phrase in tail(error.stderr).lower() for phrase in _UNREACHABLE):
            raise UnreachableError(command=line, returncode=error.returncode, stderr=error.stderr) from error
        raise


def run(command: Sequence[str], *, dry: bool = False) -> None:
    """Print a command that changes something, and run it unless `dry` is set."""
    console.say(shlex.join(command))
    if not dry:
        ask(command, patient=True)


def finds(command: Sequence[str], expected: str = "") -> bool:
    """Whether a command succeeds and its output contains `expected`.

    Raises:
        MissingToolError: The program is not installed.
    """
    try:
        return expected in ask(command)
    except ToolError:
        return False

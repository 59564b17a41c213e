"""Short-lived logins for the clouds' registries, by their command line or their Python SDK.

What is installed is tried in this order, because a user's own login is in the command line (gcloud's is there only). A
token is read from a pipe or an answer and handed on: it stands in no command line, variable, file or message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError


@dataclass(frozen=True)
class Login:
    """What a registry takes for a while; a message or a log never shows the token."""

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Way:
    """One way to a login: a program or a Python package.

    Attributes:
        name: of the program or the package.
        is_installed: whether it can be tried.
        login: takes the registry's address and a region, for where the address has none.
    """

    name: str
    is_installed: Callable[[], bool]
    login: Callable[[str, str], Login]

    @staticmethod
    def by_program(name: str, login: Callable[[str, str], Login]) -> Way:
        """Return the way by a command line."""
        return Way(name, lambda: process.which(name) is not None, login)

    @staticmethod
    def by_package(name: str, module: str, login: Callable[[str, str], Login]) -> Way:
        """Return the way by a Python package, which has a module."""
        return Way(name, lambda: _is_importable(module), login)

    @staticmethod
    def first_of(ways: Sequence[Way], address: str, region: str, *, cloud: str, login_hint: str) -> Login:
        """Return the login of the first way that has one.

        Raises MissingToolError where none is installed, ToolError with all reasons where none has a login.
        """
        reasons = []
        for way in ways:
            if way.is_installed():
                try:
                    return way.login(address, region)
                except Exception as error:  # noqa: BLE001 - each SDK has classes of its own for what one sentence says
                    reasons.append(f"{way.name}: {_reason(error)}")
        if reasons:
            message = "\n".join([f"no login for {address}", *reasons])
            raise ToolError(message, hint=f"{login_hint}, then again", code="DEVAI-IMAGE-008")
        names = " or ".join(way.name for way in ways)
        raise MissingToolError(
            f"{names} is needed for a login", hint=f"`pip install devai-tasks[{cloud}]` brings the second"
        )


def run(command: Sequence[str]) -> str:
    """Return what a command line prints, which is a secret. Raises ToolError with its reason."""
    program = process.which(command[0]) or command[0]
    return process.run([program, *command[1:]]).check(command[0], secret=True).stdout.strip()


def _reason(error: Exception) -> str:
    """Return why, in a line: the last of a program's standard error, or the first of what an SDK reports."""
    if isinstance(error, ToolError) and error.returncode is not None:
        return (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1].strip()[:300]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _is_importable(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package's parent
        return False

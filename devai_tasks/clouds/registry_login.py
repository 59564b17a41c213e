"""Short-lived logins for the clouds' registries, by the cloud's command line or Python SDK.

Installed methods are tried in this order, because the user's login is in the command line (gcloud's is only there). A
token is read from a pipe or a response and passed on; it never appears in a command line, variable, file or message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError


@dataclass(frozen=True)
class Login:
    """Temporary credentials for a registry; messages and logs never show the token."""

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class LoginMethod:
    """A method to log in to a registry: a program or a Python package.

    Attributes:
        name: Name of the program or the package.
        is_installed: Whether the program or package is installed.
        login: Returns the login, by the registry's address and the region to use if the address contains none.
    """

    name: str
    is_installed: Callable[[], bool]
    login: Callable[[str, str], Login]

    @staticmethod
    def by_program(name: str, login: Callable[[str, str], Login]) -> LoginMethod:
        """Return the method that uses a command line."""
        return LoginMethod(name, lambda: process.which(name) is not None, login)

    @staticmethod
    def by_package(name: str, module: str, login: Callable[[str, str], Login]) -> LoginMethod:
        """Return the method that uses a module of a Python package."""
        return LoginMethod(name, lambda: _is_importable(module), login)

    @staticmethod
    def first_of(methods: Sequence[LoginMethod], address: str, region: str, *, cloud: str, login_hint: str) -> Login:
        """Return the login of the first method that succeeds.

        Raises:
            MissingToolError: No method is installed.
            ToolError: All installed methods failed; the message has their reasons.
        """
        reasons = []
        for method in methods:
            if method.is_installed():
                try:
                    return method.login(address, region)
                except Exception as error:  # noqa: BLE001 - each SDK has its own exception classes
                    reasons.append(f"{method.name}: {_reason(error)}")
        if reasons:
            message = "\n".join([f"cannot log in to {address}", *reasons])
            raise ToolError(message, hint=f"{login_hint}, then retry", code="DEVAI-IMAGE-008")
        names = " or ".join(method.name for method in methods)
        raise MissingToolError(
            f"{names} is required to log in to {address}",
            hint=f"`pip install devai-tasks[{cloud}]` installs {methods[-1].name}",
        )


def run(command: Sequence[str]) -> str:
    """Return the output of a command that prints a secret. Raises ToolError with the reason of a failure."""
    program = process.which(command[0]) or command[0]
    return process.run([program, *command[1:]]).check(command[0], secret=True).stdout.strip()


def _reason(error: Exception) -> str:
    """Return the reason in one line: the last line of a program's stderr, or the first line of an SDK's message."""
    if isinstance(error, ToolError) and error.returncode is not None:
        return (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1].strip()[:300]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _is_importable(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False

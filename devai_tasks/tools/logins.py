"""The clouds' own short-lived logins for their registries, by their command line or their Python SDK.

What is found is tried in this order, because a person's own login is in the command line (gcloud's is there only).
A token is read from a pipe or an answer and handed on: it stands in no command line, variable, file or message.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from devai_tasks.system import process
from devai_tasks.system.errors import DevaiError, MissingToolError, ToolError
from devai_tasks.tools import registry

# https://learn.microsoft.com/azure/container-registry/container-registry-authentication#az-acr-login-with---expose-token
_AZURE_USER = "00000000-0000-0000-0000-000000000000"
# https://cloud.google.com/artifact-registry/docs/docker/authentication#token
_GOOGLE_USER = "oauth2accesstoken"

# Each cloud's own registries: a token of it goes to no other host.
HOSTS = {
    # With its region: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
    "aws": r"\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)"
    r"\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn))",
    "azure": r"[a-z0-9-]+\.azurecr\.(?:io|us|cn)",
    "gcp": r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io",
}


@dataclass(frozen=True)
class Login:
    """What a registry takes for a while; a message or a log never shows the token."""

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Way:
    """One way to a login: a program or a Python package."""

    name: str
    found: Callable[[], bool]
    login: Callable[[str, str], Login]


def owns(provider: str, host: str) -> bool:
    """Whether a registry is a cloud's own, and so may have its token."""
    return provider in HOSTS and re.fullmatch(HOSTS[provider], host) is not None


def login(provider: str, address: str, region: str) -> Login:
    """Return a login for the registry at an address, of `aws`, `azure` or `gcp`; `region` where the address has none.

    Raises MissingToolError where neither the command line nor the SDK is installed, ToolError with both reasons.
    """
    reasons = []
    for way in _WAYS[provider]:
        if way.found():
            try:
                return way.login(address, region)
            except Exception as error:  # noqa: BLE001 - each SDK has classes of its own for what one sentence says
                reasons.append(f"{way.name}: {_reason(error)}")
    if reasons:
        raise ToolError(
            "\n".join([f"no login for {address}", *reasons]),
            hint=f"`{_SIGN_IN[provider]}`, then again",
            code="DEVAI-IMAGE-008",
        )
    names = " or ".join(way.name for way in _WAYS[provider])
    raise MissingToolError(
        f"{names} is needed for a login", hint=f"`pip install devai-tasks[{provider}]` brings the second"
    )


def command(provider: str, address: str, region: str) -> list[str]:
    """The command that `login` would run first, to show."""
    return _COMMANDS[provider](address, region)


def _reason(error: Exception) -> str:
    """Return why, in a line: the last of a program's standard error, or the first of what an SDK reports."""
    if isinstance(error, ToolError) and error.returncode is not None:
        return (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1].strip()[:300]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _run(command: list[str]) -> str:
    """Return what a program prints, which is secret. Raises MissingToolError or ToolError."""
    program = process.which(command[0]) or command[0]
    return process.run([program, *command[1:]]).check(command[0], secret=True).stdout.strip()


# --- Amazon ECR: https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html


def _ecr_region(address: str, otherwise: str) -> str:
    """The region in ACCOUNT.dkr.ecr.REGION.amazonaws.com."""
    match = re.fullmatch(HOSTS["aws"], registry.host(address))
    return (match and match[1]) or otherwise


def _aws_command(address: str, region: str) -> list[str]:
    return ["aws", "ecr", "get-login-password", "--region", _ecr_region(address, region)]


def _aws_cli(address: str, region: str) -> Login:
    return Login("AWS", _run(_aws_command(address, region)))


def _aws_sdk(address: str, region: str) -> Login:
    import boto3

    client = boto3.client("ecr", region_name=_ecr_region(address, region))
    encoded = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    username, _, token = base64.b64decode(encoded).decode().partition(":")
    return Login(username, token)


# --- Azure Container Registry


def _azure_command(address: str, _: str) -> list[str]:
    return ["az", "acr", "login", "--name", address.partition(".")[0], "--expose-token", "--output", "json"]


def _azure_cli(address: str, region: str) -> Login:
    return Login(_AZURE_USER, json.loads(_run(_azure_command(address, region)))["accessToken"])


def _azure_sdk(address: str, _: str) -> Login:
    """Entra's token for the management plane, exchanged for a refresh token of the registry.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """
    from azure.identity import DefaultAzureCredential

    host = registry.host(address)
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    form = {"grant_type": "access_token", "service": host, "access_token": token}
    answer = httpx.post(f"{registry.url(host)}/oauth2/exchange", data=form, timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise DevaiError(f"{host} gives no token for this identity ({answer.status_code})")
    return Login(_AZURE_USER, answer.json()["refresh_token"])


# --- Google Artifact Registry


def _google_command(_: str, __: str) -> list[str]:
    return ["gcloud", "auth", "print-access-token"]


def _google_cli(address: str, region: str) -> Login:
    return Login(_GOOGLE_USER, _run(_google_command(address, region)))


def _google_sdk(_: str, __: str) -> Login:
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())
    return Login(_GOOGLE_USER, credentials.token)


def _installed(package: str) -> Callable[[], bool]:
    def found() -> bool:
        from importlib.util import find_spec

        try:
            return find_spec(package) is not None
        except ModuleNotFoundError:  # of the package's parent
            return False

    return found


def _on_path(program: str) -> Callable[[], bool]:
    return lambda: process.which(program) is not None


_WAYS = {
    "aws": (
        Way("aws", _on_path("aws"), _aws_cli),
        Way("boto3", _installed("boto3"), _aws_sdk),
    ),
    "azure": (
        Way("az", _on_path("az"), _azure_cli),
        Way("azure-identity", _installed("azure.identity"), _azure_sdk),
    ),
    "gcp": (
        Way("gcloud", _on_path("gcloud"), _google_cli),
        Way("google-auth", _installed("google.auth"), _google_sdk),
    ),
}
USERNAMES = {"aws": "AWS", "azure": _AZURE_USER, "gcp": _GOOGLE_USER}
_COMMANDS = {"aws": _aws_command, "azure": _azure_command, "gcp": _google_command}
_SIGN_IN = {"aws": "aws sso login", "azure": "az login", "gcp": "gcloud auth login"}

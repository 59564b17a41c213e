"""Short-lived registry logins of the clouds, used with private registries.

AWS is simulated by moto, and its command line and SDK are real. The services of Azure and Google are fakes that answer
as their documentation specifies; the SDKs that use the fakes are real.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from harness import fakes, moto_server
from harness.registry import Registry, registry

from devai_tasks import clouds
from devai_tasks.config.project import Project

Inv = Callable[..., CompletedProcess[str]]
StackOf = Callable[[str, str], Inv]

AWS_TOKEN = "123456789012-auth-token"  # moto's token for its account
ENTRA = "canary-entra-0123456789"
REFRESH = "canary-refresh-0123456789"
GOOGLE = "canary-google-0123456789"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's AWS services."""
    with moto_server.running() as address:
        yield address


class Machine:
    """A machine with few programs, and only the given command lines of clouds; logs the commands that are run."""

    def __init__(self, folder: Path, *clis: str) -> None:
        self.log = folder / "commands"
        self.home = folder / "home"
        self.temporary = folder / "tmp"
        programs = folder / "bin"
        for new in (self.home, self.temporary, programs):
            new.mkdir(parents=True)
        self.log.touch()
        for name in ("docker", "git", *clis):
            real = Path(sys.executable).with_name(name) if name in clis else shutil.which(name)
            (programs / name).write_text(
                f'#!/bin/sh\necho "{name} $*" >>{self.log}\nexec {real} "$@"\n', encoding="utf-8"
            )
            (programs / name).chmod(0o755)
        for name in ("sh", "env"):
            (programs / name).symlink_to(f"/bin/{name}")
        plugins = self.home / ".docker"
        plugins.mkdir()
        self.environ = {
            "PATH": str(programs), "HOME": str(self.home), "DOCKER_CONFIG": str(plugins),
            "TMPDIR": str(self.temporary), "AZURE_CONFIG_DIR": str(self.home), "CLOUDSDK_CONFIG": str(self.home),
        }  # fmt: skip

    def metadata_environ(self, service: fakes.FakeService) -> dict[str, str]:
        """Return the environment of a Google Cloud machine whose metadata server is the service."""
        names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
        return {**self.environ, **dict.fromkeys(names, service.address)}

    def assert_not_exposed(self, secret: str, result: CompletedProcess[str], project: Path) -> None:
        """Assert that commands, output and files do not contain the secret, and that no login is stored."""
        commands = self.log.read_text(encoding="utf-8")
        assert "docker login" in commands or " login " in commands
        assert secret not in commands
        assert secret not in result.stdout + result.stderr
        assert [*self.temporary.iterdir()] == []
        assert not (self.home / ".docker/config.json").exists()
        exposed = [file for file in project.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
        assert exposed == []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.mark.parametrize("clis", [("aws",), ()], ids=["by its command line", "by its SDK"])
def test_aws_login_pushes_and_pulls(
    moto: str, stack_of: StackOf, lab: Project, tmp_path: Path, clis: tuple[str, ...]
) -> None:
    machine = Machine(tmp_path / "machine", *clis)
    account = {"AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    with registry(tmp_path, users={"AWS": AWS_TOKEN}) as private:
        task = stack_of("aws-dev", private.address)
        pushed = task("image.push", **machine.environ, **account)
        pulled = task("image.pull", **machine.environ, **account)
    assert pushed.returncode == 0, pushed.stderr
    assert pulled.returncode == 0, pulled.stderr
    assert ("aws ecr get-login-password" in machine.log.read_text(encoding="utf-8")) == bool(clis)
    machine.assert_not_exposed(AWS_TOKEN, pushed, lab.root)


def test_missing_aws_credentials_print_login_hint(stack_of: StackOf, machine: Machine) -> None:
    no_credentials = {"AWS_EC2_METADATA_DISABLED": "true"}
    result = stack_of("aws-dev", "127.0.0.1:9")("image.push", **machine.environ, **no_credentials)
    assert result.returncode == 1
    assert "cannot log in to 127.0.0.1:9" in result.stderr
    assert "\nboto3: Unable to locate credentials" in result.stderr
    assert "\n`aws sso login`, or `export AWS_PROFILE=…`, then retry" in result.stderr
    assert "Traceback" not in result.stderr


def test_azure_token_is_exchanged_for_registry_token(
    stack_of: StackOf, machine: Machine, lab: Project, tmp_path: Path
) -> None:
    """Push to a registry behind a fake that exchanges tokens as Azure Container Registry does."""
    with (
        registry(tmp_path, users={clouds.WITH_TERRAFORM["azure"].registry_user: REFRESH}) as private,
        fakes.azure(entra_token=ENTRA, refresh_token=REFRESH, behind=private.address) as service,
    ):
        identity = {"IDENTITY_ENDPOINT": f"http://{service.address}/identity", "IDENTITY_HEADER": "test-header"}
        result = stack_of("azure-dev", service.address)("image.push", **machine.environ, **identity)
    assert result.returncode == 0, result.stderr
    assert "Retrying" not in result.stderr, result.stderr
    token, exchange = service.requests
    assert (token.path, token.query["resource"]) == ("/identity", "https://management.azure.com")
    assert token.headers["x-identity-header"] == "test-header"
    assert (exchange.method, exchange.path) == ("POST", "/oauth2/exchange")
    assert exchange.form == {"grant_type": "access_token", "service": service.address, "access_token": ENTRA}
    login = f"--username=00000000-0000-0000-0000-000000000000 --password-stdin {service.address}"
    assert login in machine.log.read_text(encoding="utf-8")
    for secret in (ENTRA, REFRESH):
        machine.assert_not_exposed(secret, result, lab.root)


@pytest.fixture
def google_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that accepts Google's access token, as Artifact Registry does."""
    with registry(tmp_path, users={"oauth2accesstoken": GOOGLE}) as private:
        yield private


def test_google_token_pushes_to_registry(
    stack_of: StackOf, machine: Machine, google_registry: Registry, lab: Project
) -> None:
    with fakes.google(token=GOOGLE) as service:
        result = stack_of("gcp-dev", google_registry.address)("image.push", **machine.metadata_environ(service))
    assert result.returncode == 0, result.stderr
    tokens = [request for request in service.requests if request.path.endswith("/token")]
    assert tokens
    assert all(request.headers["metadata-flavor"] == "Google" for request in tokens)
    machine.assert_not_exposed(GOOGLE, result, lab.root)


def test_rejected_token_suggests_checking_account(
    stack_of: StackOf, machine: Machine, google_registry: Registry, lab: Project
) -> None:
    other_token = "canary-of-another-account-0123456789"
    with fakes.google(token=other_token) as service:
        result = stack_of("gcp-dev", google_registry.address)("image.push", **machine.metadata_environ(service))
    assert result.returncode == 1, result.stderr
    assert "check the selected account of gcp and its permissions on this registry" in result.stderr
    assert "Traceback" not in result.stderr
    machine.assert_not_exposed(other_token, result, lab.root)


def test_cloud_token_is_not_sent_to_foreign_registry(stack_of: StackOf, machine: Machine, tmp_path: Path) -> None:
    """Use the user's own login for other registries, as for a stack without a cloud."""
    with registry(tmp_path, users={"alice": "secret"}) as private, fakes.google(token=GOOGLE) as service:
        foreign = private.address.replace("127.0.0.1", "localhost")
        login = ["docker", "login", "--username=alice", "--password-stdin", foreign]
        subprocess.run(
            login, input="secret", text=True, capture_output=True, env={**os.environ, **machine.environ}, check=True
        )
        result = stack_of("gcp-dev", foreign)("image.push", **machine.metadata_environ(service))
    assert result.returncode == 0, result.stderr
    assert service.requests == []
    assert "oauth2accesstoken" not in machine.log.read_text(encoding="utf-8")


REGISTRIES = {
    "aws": "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    "azure": "labs.azurecr.io",
    "gcp": "europe-docker.pkg.dev",
}


@pytest.mark.parametrize("cloud", REGISTRIES)
def test_dry_run_prints_commands_without_running_them(stack_of: StackOf, machine: Machine, cloud: str) -> None:
    host = REGISTRIES[cloud]
    result = stack_of(f"{cloud}-dev", host)("--dry", "image.push", **machine.environ)
    assert result.returncode == 0, result.stderr
    commands = {
        "aws": "aws ecr get-login-password --region eu-central-1",
        "azure": "az acr login --name labs --expose-token --output json",
        "gcp": "gcloud auth print-access-token",
    }
    lines = result.stderr.splitlines()
    index = lines.index(commands[cloud])
    assert (
        lines[index + 1]
        == f"docker login --username={clouds.WITH_TERRAFORM[cloud].registry_user} --password-stdin {host}"
    )
    assert any(line.startswith(f"docker image push {host}/devai/devai-regtest-lab:0.1.0-") for line in lines)
    assert "docker" not in machine.log.read_text(encoding="utf-8").replace("docker --", "")

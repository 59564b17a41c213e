"""The clouds' own short-lived logins, on their way to a registry that lets nobody else in.

Amazon's service is moto's, which its users test with, and its command line and SDK are the real ones. Azure's and
Google's services are stand-ins that answer what their descriptions say; the SDKs that talk to them are the real ones.
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

AWS_TOKEN = "123456789012-auth-token"  # moto's, for its one account
ENTRA = "canary-entra-0123456789"
REFRESH = "canary-refresh-0123456789"
GOOGLE = "canary-google-0123456789"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Amazon's services, as moto has them."""
    with moto_server.running() as address:
        yield address


class Machine:
    """A machine with few programs, none of them a cloud's unless named; notes what each was called as."""

    def __init__(self, folder: Path, *clis: str) -> None:
        self.log = folder / "called"
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

    def at(self, service: fakes.FakeService) -> dict[str, str]:
        """Its environment where it is one of Google's, with that service for metadata."""
        names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
        return {**self.environ, **dict.fromkeys(names, service.address)}

    def assert_not_exposed(self, secret: str, done: CompletedProcess[str], project: Path) -> None:
        """No place that others look into has the secret, and nothing of the login is left."""
        called = self.log.read_text(encoding="utf-8")
        assert "docker login" in called or " login " in called
        assert secret not in called
        assert secret not in done.stdout + done.stderr
        assert [*self.temporary.iterdir()] == []
        assert not (self.home / ".docker/config.json").exists()
        kept = [file for file in project.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
        assert kept == []


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
    nobody = {"AWS_EC2_METADATA_DISABLED": "true"}
    done = stack_of("aws-dev", "127.0.0.1:9")("image.push", **machine.environ, **nobody)
    assert done.returncode == 1
    assert "cannot log in to 127.0.0.1:9" in done.stderr
    assert "\nboto3: Unable to locate credentials" in done.stderr
    assert "\n`aws sso login`, or `export AWS_PROFILE=…`, then retry" in done.stderr
    assert "Traceback" not in done.stderr


def test_azure_token_is_exchanged_for_registry_token(
    stack_of: StackOf, machine: Machine, lab: Project, tmp_path: Path
) -> None:
    """The registry stands behind a front that exchanges tokens, as Azure's does."""
    with (
        registry(tmp_path, users={clouds.WITH_TERRAFORM["azure"].registry_user: REFRESH}) as private,
        fakes.azure(entra_token=ENTRA, refresh_token=REFRESH, behind=private.address) as service,
    ):
        identity = {"IDENTITY_ENDPOINT": f"http://{service.address}/identity", "IDENTITY_HEADER": "of-the-tests"}
        done = stack_of("azure-dev", service.address)("image.push", **machine.environ, **identity)
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stderr, done.stderr
    token, exchange = service.requests
    assert (token.path, token.query["resource"]) == ("/identity", "https://management.azure.com")
    assert token.headers["x-identity-header"] == "of-the-tests"
    assert (exchange.method, exchange.path) == ("POST", "/oauth2/exchange")
    assert exchange.form == {"grant_type": "access_token", "service": service.address, "access_token": ENTRA}
    login = f"--username=00000000-0000-0000-0000-000000000000 --password-stdin {service.address}"
    assert login in machine.log.read_text(encoding="utf-8")
    for secret in (ENTRA, REFRESH):
        machine.assert_not_exposed(secret, done, lab.root)


@pytest.fixture
def google_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that takes Google's access token, as Artifact Registry does."""
    with registry(tmp_path, users={"oauth2accesstoken": GOOGLE}) as private:
        yield private


def test_google_token_pushes_to_registry(
    stack_of: StackOf, machine: Machine, google_registry: Registry, lab: Project
) -> None:
    with fakes.google(token=GOOGLE) as service:
        done = stack_of("gcp-dev", google_registry.address)("image.push", **machine.at(service))
    assert done.returncode == 0, done.stderr
    token = [asked for asked in service.requests if asked.path.endswith("/token")]
    assert token
    assert all(asked.headers["metadata-flavor"] == "Google" for asked in token)
    machine.assert_not_exposed(GOOGLE, done, lab.root)


def test_rejected_token_suggests_checking_account(
    stack_of: StackOf, machine: Machine, google_registry: Registry, lab: Project
) -> None:
    other = "canary-of-another-account-0123456789"
    with fakes.google(token=other) as service:
        done = stack_of("gcp-dev", google_registry.address)("image.push", **machine.at(service))
    assert done.returncode == 1, done.stderr
    assert "check the selected account of gcp and its permissions on this registry" in done.stderr
    assert "Traceback" not in done.stderr
    machine.assert_not_exposed(other, done, lab.root)


def test_cloud_token_is_not_sent_to_foreign_registry(stack_of: StackOf, machine: Machine, tmp_path: Path) -> None:
    """There the person's own login counts, as with a stack of no cloud."""
    with registry(tmp_path, users={"somebody": "secret"}) as private, fakes.google(token=GOOGLE) as service:
        elsewhere = private.address.replace("127.0.0.1", "localhost")
        login = ["docker", "login", "--username=somebody", "--password-stdin", elsewhere]
        subprocess.run(
            login, input="secret", text=True, capture_output=True, env={**os.environ, **machine.environ}, check=True
        )
        done = stack_of("gcp-dev", elsewhere)("image.push", **machine.at(service))
    assert done.returncode == 0, done.stderr
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
    done = stack_of(f"{cloud}-dev", host)("--dry", "image.push", **machine.environ)
    assert done.returncode == 0, done.stderr
    first = {
        "aws": "aws ecr get-login-password --region eu-central-1",
        "azure": "az acr login --name labs --expose-token --output json",
        "gcp": "gcloud auth print-access-token",
    }
    lines = done.stderr.splitlines()
    at = lines.index(first[cloud])
    assert (
        lines[at + 1] == f"docker login --username={clouds.WITH_TERRAFORM[cloud].registry_user} --password-stdin {host}"
    )
    assert any(line.startswith(f"docker image push {host}/devai/devai-regtest-lab:0.1.0-") for line in lines)
    assert "docker" not in machine.log.read_text(encoding="utf-8").replace("docker --", "")

"""Failures of registries: retried if a retry can help, otherwise reported by one message."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from harness import fakes
from harness.registry import FlakyProxy, Registry, registry

Inv = Callable[..., CompletedProcess[str]]
StackOf = Callable[[str, str], Inv]


def assert_one_message(result: CompletedProcess[str], *parts: str) -> None:
    """Assert that a task failed with a message that contains these parts, and without a traceback."""
    assert result.returncode == 1, result.stderr
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.fixture
def proxy(local_registry: Registry) -> Iterator[FlakyProxy]:
    """A proxy to the registry that breaks the connection after 3 MiB."""
    proxy = FlakyProxy(local_registry.address, breaks_after=3 << 20, refusals=0)
    yield proxy
    proxy.close()


def test_interrupted_push_completes_with_same_digest(
    stack_of: StackOf, proxy: FlakyProxy, local_registry: Registry
) -> None:
    interrupted = stack_of("local-dev", f"{proxy.address}/interrupted")("image.push", "--json")
    assert interrupted.returncode == 0, interrupted.stderr
    assert proxy.broken
    assert (
        "Retrying in" in interrupted.stderr or "retrying in 2 s" in interrupted.stderr
    )  # by the engine, or by the task if the engine gives up
    # Pushing the same image directly: it is present already, with the same digest.
    direct = stack_of("local-dev", f"{local_registry.address}/interrupted")("image.push", "--json")
    assert json.loads(direct.stdout)["digest"] == json.loads(interrupted.stdout)["digest"]
    assert ": present" in direct.stderr


def test_unreachable_registry_is_reported(stack_of: StackOf) -> None:
    result = stack_of("local-dev", "127.0.0.1:9")("image.push")
    assert_one_message(result, "127.0.0.1:9", "connection refused")


@pytest.fixture
def private_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry with one user."""
    with registry(tmp_path, users={"alice": "secret"}) as running:
        yield running


def test_missing_registry_login_prints_login_hint(
    stack_of: StackOf, private_registry: Registry, tmp_path: Path
) -> None:
    task = stack_of("local-dev", private_registry.address)
    no_login = {"DOCKER_CONFIG": str(tmp_path / "no-login")}
    for verb in ("image.push", "image.pull"):
        assert_one_message(
            task(verb, **no_login), f"`docker login {private_registry.address}`, then run the command again"
        )


def test_expired_registry_login_prints_login_hint(
    stack_of: StackOf, private_registry: Registry, tmp_path: Path
) -> None:
    auth = base64.b64encode(b"alice:expired").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {private_registry.address: {"auth": auth}}}))
    task = stack_of("local-dev", private_registry.address)
    for verb in ("image.push", "image.pull"):
        result = task(verb, DOCKER_CONFIG=str(tmp_path))
        assert_one_message(result, f"`docker login {private_registry.address}`, then run the command again")
        assert "retrying in" not in result.stderr


def test_users_registry_login_is_used(stack_of: StackOf, private_registry: Registry, tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path / "login")}
    login = ["docker", "login", "--username=alice", "--password-stdin", private_registry.address]
    subprocess.run(login, input="secret", text=True, capture_output=True, env={**os.environ, **environ}, check=True)
    pushed = stack_of("local-dev", private_registry.address)("image.push", **environ)
    assert pushed.returncode == 0, pushed.stderr
    assert "attached attestations: 1, of which new: 1" in pushed.stderr  # no SBOM, since the image has no packages


def test_pull_of_unpushed_image_suggests_push(stack_of: StackOf, local_registry: Registry) -> None:
    result = stack_of("local-dev", f"{local_registry.address}/elsewhere")("image.pull")
    flags = f"--set=project.name=devai-regtest --set=image.registry={local_registry.address}/elsewhere/devai"
    assert_one_message(result, f"`inv image.push --env=dev --cloud=local {flags}` pushes it")


def test_missing_ecr_repository_suggests_apply(stack_of: StackOf) -> None:
    with fakes.ecr_without_repository() as ecr:
        result = stack_of("local-dev", ecr.address)("image.push")
    flags = f"--set=project.name=devai-regtest --set=image.registry={ecr.address}/devai"
    assert_one_message(result, f"`inv tf.apply --env=dev --cloud=local {flags}` creates it")
    assert "retrying in" not in result.stderr

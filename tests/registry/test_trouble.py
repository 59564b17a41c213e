"""What goes wrong on the way to a registry: tried again where that helps, one clear message where it doesn't."""

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


def assert_one_message(done: CompletedProcess[str], *words: str) -> None:
    """The world's fault, with what to do about it, and no traceback."""
    assert done.returncode == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.fixture
def line(local_registry: Registry) -> Iterator[FlakyProxy]:
    """A line to the registry that breaks after the third megabyte."""
    line = FlakyProxy(local_registry.address, breaks_after=3 << 20, refusals=0)
    yield line
    line.close()


def test_interrupted_push_completes_with_same_digest(
    stack_of: StackOf, line: FlakyProxy, local_registry: Registry
) -> None:
    cut = stack_of("local-dev", f"{line.address}/cut")("image.push", "--json")
    assert cut.returncode == 0, cut.stderr
    assert line.broken
    assert "Retrying in" in cut.stderr or "retrying in 2 s" in cut.stderr  # by the engine, or by us where it gives up
    # The same image over a whole line: all of it is there already, by the same digest.
    whole = stack_of("local-dev", f"{local_registry.address}/cut")("image.push", "--json")
    assert json.loads(whole.stdout)["digest"] == json.loads(cut.stdout)["digest"]
    assert ": present" in whole.stderr


def test_unreachable_registry_is_reported(stack_of: StackOf) -> None:
    done = stack_of("local-dev", "127.0.0.1:9")("image.push")
    assert_one_message(done, "127.0.0.1:9", "connection refused")


@pytest.fixture
def private_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that knows one person."""
    with registry(tmp_path, users={"somebody": "secret"}) as running:
        yield running


def test_missing_registry_login_prints_login_hint(
    stack_of: StackOf, private_registry: Registry, tmp_path: Path
) -> None:
    task = stack_of("local-dev", private_registry.address)
    nobody = {"DOCKER_CONFIG": str(tmp_path / "nobody")}
    for verb in ("image.push", "image.pull"):
        assert_one_message(
            task(verb, **nobody), f"`docker login {private_registry.address}`, then run the command again"
        )


def test_expired_registry_login_prints_login_hint(
    stack_of: StackOf, private_registry: Registry, tmp_path: Path
) -> None:
    auth = base64.b64encode(b"somebody:of-yesterday").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {private_registry.address: {"auth": auth}}}))
    task = stack_of("local-dev", private_registry.address)
    for verb in ("image.push", "image.pull"):
        done = task(verb, DOCKER_CONFIG=str(tmp_path))
        assert_one_message(done, f"`docker login {private_registry.address}`, then run the command again")
        assert "retrying in" not in done.stderr


def test_users_registry_login_is_used(stack_of: StackOf, private_registry: Registry, tmp_path: Path) -> None:
    own = {"DOCKER_CONFIG": str(tmp_path / "own")}
    login = ["docker", "login", "--username=somebody", "--password-stdin", private_registry.address]
    subprocess.run(login, input="secret", text=True, capture_output=True, env={**os.environ, **own}, check=True)
    pushed = stack_of("local-dev", private_registry.address)("image.push", **own)
    assert pushed.returncode == 0, pushed.stderr
    assert "attached attestations: 1, of which new: 1" in pushed.stderr  # there are no packages in it to list


def test_pull_of_unpushed_image_suggests_push(stack_of: StackOf, local_registry: Registry) -> None:
    done = stack_of("local-dev", f"{local_registry.address}/elsewhere")("image.pull")
    elsewhere = f"--set=project.name=devai-regtest --set=image.registry={local_registry.address}/elsewhere/devai"
    assert_one_message(done, f"`inv image.push --env=dev --cloud=local {elsewhere}` pushes it")


def test_missing_ecr_repository_suggests_apply(stack_of: StackOf) -> None:
    with fakes.ecr_without_repository() as ecr:
        done = stack_of("local-dev", ecr.address)("image.push")
    there = f"--set=project.name=devai-regtest --set=image.registry={ecr.address}/devai"
    assert_one_message(done, f"`inv tf.apply --env=dev --cloud=local {there}` creates it")
    assert "retrying in" not in done.stderr

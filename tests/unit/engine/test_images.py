"""Copy of the client's configuration for a login, and refusals of registries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from devai_tasks.engine import images


@pytest.fixture
def client_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the client's configuration of a user; return its folder."""
    folder = tmp_path / "config"
    (folder / "contexts").mkdir(parents=True)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def copy(client_config: Path, tmp_path: Path, settings: Mapping[str, object]) -> dict[str, object]:
    (client_config / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    target = tmp_path / "copy"
    target.mkdir()
    images.copy_configuration(target, without="registry.test")
    assert (target / "contexts").resolve() == (client_config / "contexts").resolve()
    assert (target / "config.json").stat().st_mode & 0o777 == 0o600
    result: dict[str, object] = json.loads((target / "config.json").read_text(encoding="utf-8"))
    assert json.loads((client_config / "config.json").read_text(encoding="utf-8")) == settings
    return result


def test_copy_has_contexts_and_logins_for_other_registries(client_config: Path, tmp_path: Path) -> None:
    settings = {
        "currentContext": "colima",
        "auths": {"registry.test": {"auth": "b2xk"}, "other.test": {"auth": "eA=="}},
    }
    result = copy(client_config, tmp_path, settings)
    assert result == {"currentContext": "colima", "auths": {"other.test": {"auth": "eA=="}}}


def test_credential_store_is_used_only_for_other_registries(client_config: Path, tmp_path: Path) -> None:
    settings = {
        "credsStore": "desktop",
        "auths": {"registry.test": {}, "other.test": {}},
        "credHelpers": {"a.test": "x"},
    }
    result = copy(client_config, tmp_path, settings)
    assert "credsStore" not in result
    assert result["credHelpers"] == {"other.test": "desktop", "a.test": "x"}


@pytest.mark.parametrize(
    ("output", "refusal"),
    [
        ("denied: requested access to the resource is denied", "login"),
        ("no basic auth credentials", "login"),
        ("Error response from daemon: login attempt to https://r/v2/ failed with status: 401 Unauthorized", "login"),
        ("push access denied, repository does not exist or may require authorization", "login"),
        ("name unknown: The repository with name 'x' does not exist in the registry with id '1'", "name"),
        ('name unknown: Repository "x" not found', "name"),
        ("manifest for r/x:1 not found: manifest unknown: manifest unknown", "name"),
        ("ERROR: r/x:2: not found", "name"),
        ("tag invalid: The image tag '1' already exists in the 'x' repository and cannot be overwritten", "tag"),
        ("manifest invalid: cannot update tag 1. The repository has enabled tag immutability", "tag"),
        ("received unexpected HTTP status: 500 Internal Server Error", "broken"),
        ("received unexpected HTTP status: 503 Service Unavailable", None),
        ("toomanyrequests: Rate exceeded", None),
        ("write tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer", None),
        ("permission denied while trying to connect to the Docker daemon socket", None),
    ],
)
def test_refusal_of_a_registry_is_distinguished_from_a_temporary_failure(output: str, refusal: str | None) -> None:
    assert images.refusal_of(output) == refusal

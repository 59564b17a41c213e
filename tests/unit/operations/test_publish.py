"""What is tried again on the way to a registry, and what is refused before; tests/registry has real registries."""

from __future__ import annotations

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.errors import ToolFailed, UsageError
from devai_tasks.operations import images, publish
from devai_tasks.tools.docker import Docker
from devai_tasks.tools.images import RegistryRefused


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, in place of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


class Failing:
    """Something that fails a few times."""

    def __init__(self, error: ToolFailed, times: int) -> None:
        self.error, self.times, self.tried = error, times, 0

    def __call__(self) -> None:
        """Fail, or not."""
        self.tried += 1
        if self.tried <= self.times:
            raise self.error


def test_what_fails_on_the_way_is_tried_again_with_longer_pauses(pauses: list[float]) -> None:
    action = Failing(ToolFailed("connection reset"), 3)
    publish.persist(action)
    assert action.tried == 4
    assert pauses == [2, 4, 8]


def test_what_goes_on_failing_is_given_up_with_its_own_words(pauses: list[float]) -> None:
    action = Failing(ToolFailed("connection reset"), 99)
    with pytest.raises(ToolFailed, match="connection reset"):
        publish.persist(action)
    assert action.tried == 5
    assert pauses == [2, 4, 8, 16]


def test_a_no_of_a_registry_is_not_questioned(pauses: list[float]) -> None:
    action = Failing(RegistryRefused("login", "denied"), 99)
    with pytest.raises(RegistryRefused):
        publish.persist(action)
    assert action.tried == 1
    assert pauses == []


def settings(project: Project, registry: str, cloud: str = "aws") -> Settings:
    return load(project, Stack("dev", cloud), [f"image.registry={registry}/lab"], environ={})


@pytest.mark.parametrize(
    ("cloud", "registry", "logs_in"),
    [
        ("gcp", "europe-docker.pkg.dev/p", True),
        ("gcp", "ghcr.io/me", False),
        ("azure", "labs.azurecr.io", True),
        ("azure", "europe-docker.pkg.dev/p", False),
        ("aws", "123456789012.dkr.ecr.eu-central-1.amazonaws.com", True),
        ("aws", "127.0.0.1:5000", False),
    ],
)
def test_a_cloud_logs_in_to_its_own_registry_and_a_person_to_every_other(
    shipped: Project, capsys: pytest.CaptureFixture[str], cloud: str, registry: str, *, logs_in: bool
) -> None:
    publish.push(shipped, settings(shipped, registry, cloud), Docker(dry=True), images.Options())
    said = capsys.readouterr().err
    assert f"docker image push {registry}/lab/" in said
    assert ("docker login" in said) == logs_in
    assert any(program in said for program in ("aws ecr", "az acr", "gcloud auth")) == logs_in


def test_a_base_that_was_made_here_leaves_this_machine_under_no_name(
    shipped: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"for this machine only.*--set=image\.base\.source=registry"):
        publish.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "debootstrap")
    publish.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "registry")
    publish.check_base(settings(shipped, "127.0.0.1:5000"), "debootstrap")
    assert "for 127.0.0.1:5000, which is on this machine, that will do" in capsys.readouterr().err

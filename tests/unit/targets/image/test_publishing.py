"""Publishing of images: retries, logins, names and refusals; tests/registry has real registries."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest
from harness.project import separate
from harness.repository import commit, committed, git
from harness.settings import load

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images, Manifest, RegistryRefusedError
from devai_tasks.system.errors import DevaiError, ToolError, UsageError
from devai_tasks.targets.image import building, fingerprint, publishing

LOCAL_DEV = Stack("dev", "local")
T = TypeVar("T")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record pauses instead of waiting."""
    waited: list[float] = []
    # Only in this module: libraries also sleep.
    monkeypatch.setattr(publishing, "time", SimpleNamespace(sleep=waited.append))
    return waited


class Failing:
    """An action that fails a number of times."""

    def __init__(self, error: ToolError, times: int) -> None:
        self.error, self.times, self.calls = error, times, 0

    def __call__(self) -> None:
        """Raise the error for the first calls."""
        self.calls += 1
        if self.calls <= self.times:
            raise self.error


def test_failed_connection_is_retried_with_longer_pauses(pauses: list[float]) -> None:
    action = Failing(ToolError("connection reset"), 3)
    publishing.retry(action)
    assert action.calls == 4
    assert pauses == [2, 4, 8]


def test_persistent_failure_is_raised_after_the_last_retry(pauses: list[float]) -> None:
    action = Failing(ToolError("connection reset"), 99)
    with pytest.raises(ToolError, match="connection reset"):
        publishing.retry(action)
    assert action.calls == 5
    assert pauses == [2, 4, 8, 16]


def test_refusal_of_a_registry_is_not_retried(pauses: list[float]) -> None:
    action = Failing(RegistryRefusedError("login", "denied"), 99)
    with pytest.raises(RegistryRefusedError):
        publishing.retry(action)
    assert action.calls == 1
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
        ("aws", "registry.invalid", True),  # the placeholder before Terraform creates the registry
        ("local", "registry.invalid", False),
        ("local", "labs.azurecr.io", False),
    ],
)
def test_push_logs_in_only_to_the_registry_of_the_stacks_cloud(
    shipped: Project, capsys: pytest.CaptureFixture[str], cloud: str, registry: str, *, logs_in: bool
) -> None:
    publishing.push(shipped, settings(shipped, registry, cloud), Docker(dry=True), building.Options())
    output = capsys.readouterr().err
    assert f"docker image push {registry}/lab/" in output
    assert ("docker login" in output) == logs_in
    assert any(program in output for program in ("aws ecr", "az acr", "gcloud auth")) == logs_in


def test_locally_built_base_image_is_not_pushed_to_other_machines(
    shipped: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"on this machine only.*--set=image\.base\.source=registry"):
        publishing.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "debootstrap")
    publishing.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "registry")
    publishing.check_base(settings(shipped, "127.0.0.1:5000"), "debootstrap")
    assert "allowed because 127.0.0.1:5000 is on this machine" in capsys.readouterr().err


def test_refused_mutable_tag_is_reported_with_its_setting(shipped: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_engine: Images, _name: str) -> None:
        raise RegistryRefusedError("tag", "tag invalid")

    monkeypatch.setattr(Images, "manifest", refuse)
    with pytest.raises(DevaiError, match=r"leave `image\.tags` empty, and use a folder as build cache"):
        publishing.push(shipped, settings(shipped, "ghcr.io/me"), Docker(dry=True), building.Options())


class Engine:
    """Fake of the engine: has the image of the last build, and records the names that the image gets."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.labels: dict[str, str] = {}
        self.named: list[str] = []

    @property
    def settings(self) -> Settings:
        """Return the settings of a stack with a registry."""
        return load(self.project, LOCAL_DEV, ["image.registry=registry.test"], environ={})

    def build(self) -> None:
        """Label the image with the current fingerprint."""
        self.labels = {fingerprint.LABEL: fingerprint.of(self.project, self.settings)}

    def inspect(self, name: str) -> dict[str, object]:
        """Describe the image."""
        return {"Id": name, "Config": {"Labels": self.labels}}

    def tag(self, _image: str, name: str) -> None:
        """Record a name."""
        self.named.append(name)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine with an image of a project's first commit."""
    engine = Engine(committed(tmp_path / "lab"))
    monkeypatch.setattr(Images, "inspect", engine.inspect)
    monkeypatch.setattr(Images, "tag", engine.tag)
    monkeypatch.setattr(Images, "manifest", lambda *_: None)
    monkeypatch.setattr(Images, "push", lambda *_: None)
    engine.build()
    return engine


Action = Callable[[Engine], None]


def tag(engine: Engine) -> publishing.Published:
    return publishing.tag(engine.project, engine.settings, Docker())


def push(engine: Engine) -> publishing.Published:
    return publishing.push(engine.project, engine.settings, Docker(), building.Options())


def change_lock(project: Project) -> None:
    with separate(project.root / "deploy/image/requirements/standard.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another\n")


def build_with_a_reverted_edit(engine: Engine) -> None:
    change_lock(engine.project)
    engine.build()
    git(engine.project.root, "checkout", "--quiet", ".")


def commit_a_changed_lock_after_the_build(engine: Engine) -> None:
    change_lock(engine.project)
    commit(engine.project.root)


@pytest.mark.parametrize("action", [build_with_a_reverted_edit, commit_a_changed_lock_after_the_build])
@pytest.mark.parametrize("verb", [tag, push])
def test_image_with_another_fingerprint_does_not_get_the_commits_name(
    engine: Engine, action: Action, verb: Callable[[Engine], object]
) -> None:
    action(engine)
    with pytest.raises(UsageError, match=r"run `inv image\.build --env=dev --cloud=local --set=image\.registry="):
        verb(engine)
    assert engine.named == []


def change_readme(project: Project) -> None:
    (project.root / "README.md").write_text("Another.\n", encoding="utf-8")


def commit_changed_readme(engine: Engine) -> None:
    change_readme(engine.project)
    commit(engine.project.root)


def remove_label(engine: Engine) -> None:
    engine.labels = {}


@pytest.mark.parametrize("action", [commit_changed_readme, remove_label])
def test_image_with_the_same_or_no_fingerprint_gets_the_commits_name(engine: Engine, action: Action) -> None:
    action(engine)
    published = tag(engine)
    assert engine.named == [published.name]
    assert git(engine.project.root, "rev-parse", "HEAD")[:12] in published.name


def test_uncommitted_changes_of_the_fingerprint_have_a_dirty_name(engine: Engine) -> None:
    named = [tag(engine).name]
    for change in (change_lock, change_lock, change_readme):
        change(engine.project)
        engine.build()
        named.append(tag(engine).name)
    assert re.fullmatch(rf"{re.escape(named[0])}-dirty-[0-9a-f]{{8}}", named[1])
    assert len(set(named[:3])) == 3
    assert named[3] == named[2]


def test_existing_dirty_name_of_another_image_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    change_lock(engine.project)
    engine.build()
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(f"sha256:{'a' * 64}", "another"))
    with pytest.raises(UsageError, match=r"-dirty-\w{8} exists already and is another image"):
        push(engine)


def test_digest_of_a_completed_push_is_read_with_retries(
    engine: Engine, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'a' * 64}"
    pushed = Manifest(digest, image_names.lab(engine.settings))
    answers = iter([None, ToolError("503 Service Unavailable"), pushed])
    monkeypatch.setattr(Images, "manifest", lambda *_: answer(next(answers)))
    assert push(engine).digest == digest
    assert pauses == [2]
    assert engine.settings.image.digest == digest


def test_failed_mutable_tag_of_several_platforms_is_retried(
    engine: Engine, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'a' * 64}"
    answers = iter([ToolError("503 Service Unavailable"), None])
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(digest, ""))
    monkeypatch.setattr(Images, "all_have", lambda *_: True)
    monkeypatch.setattr(Images, "alias", lambda *_: answer(next(answers)))
    several = building.options("linux/amd64,linux/arm64", "", "")
    settings = load(engine.project, LOCAL_DEV, ["image.registry=registry.test", "image.tags=[latest]"], environ={})
    assert publishing.push(engine.project, settings, Docker(), several).digest == digest
    assert pauses == [2]


def test_existing_image_of_several_platforms_with_another_fingerprint_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(f"sha256:{'a' * 64}", ""))
    monkeypatch.setattr(Images, "all_have", lambda *_: False)
    several = building.options("linux/amd64,linux/arm64", "", "")
    with pytest.raises(UsageError, match="exists already and is another image"):
        publishing.push(engine.project, engine.settings, Docker(), several)


def test_digest_of_an_image_for_gpus_is_recorded_separately(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = f"sha256:{'a' * 64}"
    settings = load(engine.project, LOCAL_DEV, ["image.registry=registry.test"], gpu=True, environ={})
    engine.labels = {}
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(digest, image_names.lab(settings)))
    published = publishing.push(engine.project, settings, Docker(), building.Options())
    assert published.name.endswith("-gpu")
    known = load(engine.project, LOCAL_DEV, environ={}).image
    assert (known.gpu.digest, known.digest) == (digest, "")


def answer(result: T | Exception) -> T:
    if isinstance(result, Exception):
        raise result
    return result


def test_fingerprint_does_not_depend_on_the_name_of_the_image(shipped: Project) -> None:
    left, right = (load(shipped, Stack("dev", cloud), environ={}) for cloud in ("aws", "gcp"))
    assert fingerprint.of(shipped, left) == fingerprint.of(shipped, right)


def test_bytecode_of_the_image_programs_does_not_change_the_fingerprint(project: Project) -> None:
    settings = load(project, LOCAL_DEV, environ={})
    before = fingerprint.of(project, settings)
    bytecode = project.root / "deploy/image/__pycache__/devai_home.cpython-311.pyc"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.write_bytes(b"bytecode")
    assert fingerprint.of(project, settings) == before
    separate(bytecode.parents[1] / "devai_home.py").write_text("changed\n")
    assert fingerprint.of(project, settings) != before

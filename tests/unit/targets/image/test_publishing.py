"""What is tried again on the way to a registry, and what is refused before; tests/registry has real registries."""

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
    """How long was waited, in place of waiting."""
    waited: list[float] = []
    # Its own name alone: libraries sleep, too.
    monkeypatch.setattr(publishing, "time", SimpleNamespace(sleep=waited.append))
    return waited


class Failing:
    """Something that fails a few times."""

    def __init__(self, error: ToolError, times: int) -> None:
        self.error, self.times, self.tried = error, times, 0

    def __call__(self) -> None:
        """Fail, or not."""
        self.tried += 1
        if self.tried <= self.times:
            raise self.error


def test_what_fails_on_the_way_is_tried_again_with_longer_pauses(pauses: list[float]) -> None:
    action = Failing(ToolError("connection reset"), 3)
    publishing.retry(action)
    assert action.tried == 4
    assert pauses == [2, 4, 8]


def test_what_goes_on_failing_is_given_up_with_its_own_words(pauses: list[float]) -> None:
    action = Failing(ToolError("connection reset"), 99)
    with pytest.raises(ToolError, match="connection reset"):
        publishing.retry(action)
    assert action.tried == 5
    assert pauses == [2, 4, 8, 16]


def test_a_no_of_a_registry_is_not_questioned(pauses: list[float]) -> None:
    action = Failing(RegistryRefusedError("login", "denied"), 99)
    with pytest.raises(RegistryRefusedError):
        publishing.retry(action)
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
        ("aws", "registry.invalid", True),  # what stands for one that Terraform has not made yet
        ("local", "registry.invalid", False),
        ("local", "labs.azurecr.io", False),
    ],
)
def test_a_cloud_logs_in_to_its_own_registry_and_a_person_to_every_other(
    shipped: Project, capsys: pytest.CaptureFixture[str], cloud: str, registry: str, *, logs_in: bool
) -> None:
    publishing.push(shipped, settings(shipped, registry, cloud), Docker(dry=True), building.Options())
    said = capsys.readouterr().err
    assert f"docker image push {registry}/lab/" in said
    assert ("docker login" in said) == logs_in
    assert any(program in said for program in ("aws ecr", "az acr", "gcloud auth")) == logs_in


def test_a_base_that_was_made_here_leaves_this_machine_under_no_name(
    shipped: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"on this machine only.*--set=image\.base\.source=registry"):
        publishing.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "debootstrap")
    publishing.check_base(settings(shipped, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"), "registry")
    publishing.check_base(settings(shipped, "127.0.0.1:5000"), "debootstrap")
    assert "allowed because 127.0.0.1:5000 is on this machine" in capsys.readouterr().err


def test_a_tag_that_can_not_move_says_what_wants_to_move_it(shipped: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_engine: Images, _name: str) -> None:
        raise RegistryRefusedError("tag", "tag invalid")

    monkeypatch.setattr(Images, "manifest", refuse)
    with pytest.raises(DevaiError, match=r"leave `image\.tags` empty, and use a folder as build cache"):
        publishing.push(shipped, settings(shipped, "ghcr.io/me"), Docker(dry=True), building.Options())


class Engine:
    """Stands in for the engine: has what was built last, and notes the names that it is given."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.labels: dict[str, str] = {}
        self.named: list[str] = []

    @property
    def settings(self) -> Settings:
        """Those of a stack with a registry."""
        return load(self.project, LOCAL_DEV, ["image.registry=registry.test"], environ={})

    def build(self) -> None:
        """Have an image of the inputs as they are now."""
        self.labels = {fingerprint.LABEL: fingerprint.of(self.project, self.settings)}

    def inspect(self, name: str) -> dict[str, object]:
        """Describe the image."""
        return {"Id": name, "Config": {"Labels": self.labels}}

    def tag(self, _image: str, name: str) -> None:
        """Note a name."""
        self.named.append(name)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine with an image of a project's first commit."""
    engine = Engine(committed(tmp_path / "lab"))
    monkeypatch.setattr(Images, "inspect", engine.inspect)
    monkeypatch.setattr(Images, "tag", engine.tag)
    monkeypatch.setattr(Images, "manifest", lambda *_: None)
    monkeypatch.setattr(Images, "push", lambda *_: None)
    engine.build()
    return engine


Way = Callable[[Engine], None]


def tag(engine: Engine) -> publishing.Published:
    return publishing.tag(engine.project, engine.settings, Docker())


def push(engine: Engine) -> publishing.Published:
    return publishing.push(engine.project, engine.settings, Docker(), building.Options())


def change_the_lock(project: Project) -> None:
    with separate(project.root / "deploy/image/requirements/standard.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another\n")


def edited_built_and_taken_back(engine: Engine) -> None:
    change_the_lock(engine.project)
    engine.build()
    git(engine.project.root, "checkout", "--quiet", ".")


def built_before_a_commit_that_changes_a_lock(engine: Engine) -> None:
    change_the_lock(engine.project)
    commit(engine.project.root)


@pytest.mark.parametrize("way", [edited_built_and_taken_back, built_before_a_commit_that_changes_a_lock])
@pytest.mark.parametrize("verb", [tag, push])
def test_an_image_of_other_inputs_does_not_get_the_present_commits_name(
    engine: Engine, way: Way, verb: Callable[[Engine], object]
) -> None:
    way(engine)
    with pytest.raises(UsageError, match=r"run `inv image\.build --env=dev --cloud=local --set=image\.registry="):
        verb(engine)
    assert engine.named == []


def what_is_in_no_image(project: Project) -> None:
    (project.root / "README.md").write_text("Another.\n", encoding="utf-8")


def commits_what_is_in_no_image(engine: Engine) -> None:
    what_is_in_no_image(engine.project)
    commit(engine.project.root)


def has_an_image_without_label(engine: Engine) -> None:
    engine.labels = {}


@pytest.mark.parametrize("way", [commits_what_is_in_no_image, has_an_image_without_label])
def test_an_image_that_may_be_the_commits_gets_its_name(engine: Engine, way: Way) -> None:
    way(engine)
    wanted = tag(engine)
    assert engine.named == [wanted.name]
    assert git(engine.project.root, "rev-parse", "HEAD")[:12] in wanted.name


def test_files_that_no_commit_has_are_another_image_whenever_they_make_one(engine: Engine) -> None:
    named = [tag(engine).name]
    for another in (change_the_lock, change_the_lock, what_is_in_no_image):
        another(engine.project)
        engine.build()
        named.append(tag(engine).name)
    assert re.fullmatch(rf"{re.escape(named[0])}-dirty-[0-9a-f]{{8}}", named[1])
    assert len(set(named[:3])) == 3
    assert named[3] == named[2]


def test_another_build_of_such_files_is_refused_as_that_of_a_commit_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_the_lock(engine.project)
    engine.build()
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(f"sha256:{'a' * 64}", "another"))
    with pytest.raises(UsageError, match=r"-dirty-\w{8} exists already and is another image"):
        push(engine)


def test_a_push_that_has_arrived_is_not_lost_to_a_registry_that_does_not_answer_for_a_moment(
    engine: Engine, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'a' * 64}"
    there = Manifest(digest, image_names.lab(engine.settings))
    answers = iter([None, ToolError("503 Service Unavailable"), there])
    monkeypatch.setattr(Images, "manifest", lambda *_: answer(next(answers)))
    assert push(engine).digest == digest
    assert pauses == [2]
    assert engine.settings.image.digest == digest


def test_so_is_one_for_several_platforms_whose_moving_tag_fails_once(
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


def test_an_image_for_several_platforms_of_other_inputs_is_not_taken_for_this_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(f"sha256:{'a' * 64}", ""))
    monkeypatch.setattr(Images, "all_have", lambda *_: False)
    several = building.options("linux/amd64,linux/arm64", "", "")
    with pytest.raises(UsageError, match="exists already and is another image"):
        publishing.push(engine.project, engine.settings, Docker(), several)


def test_an_image_for_gpus_is_recorded_as_that(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = f"sha256:{'a' * 64}"
    settings = load(engine.project, LOCAL_DEV, ["image.registry=registry.test"], gpu=True, environ={})
    engine.labels = {}
    monkeypatch.setattr(Images, "manifest", lambda *_: Manifest(digest, image_names.lab(settings)))
    published = publishing.push(engine.project, settings, Docker(), building.Options())
    assert published.name.endswith("-gpu")
    known = load(engine.project, LOCAL_DEV, environ={}).image
    assert (known.gpu.digest, known.digest) == (digest, "")


def answer(given: T | Exception) -> T:
    if isinstance(given, Exception):
        raise given
    return given


def test_what_an_image_is_called_is_no_input_of_it(shipped: Project) -> None:
    one, other = (load(shipped, Stack("dev", cloud), environ={}) for cloud in ("aws", "gcp"))
    assert fingerprint.of(shipped, one) == fingerprint.of(shipped, other)


def test_bytecode_of_the_image_programs_does_not_change_the_fingerprint(project: Project) -> None:
    settings = load(project, LOCAL_DEV, environ={})
    before = fingerprint.of(project, settings)
    bytecode = project.root / "deploy/image/__pycache__/devai_home.cpython-311.pyc"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.write_bytes(b"bytecode")
    assert fingerprint.of(project, settings) == before
    separate(bytecode.parents[1] / "devai_home.py").write_text("changed\n")
    assert fingerprint.of(project, settings) != before

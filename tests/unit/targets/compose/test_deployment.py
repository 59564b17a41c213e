"""What the lab's operations know without an engine: addresses, ports, names."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images
from devai_tasks.models import pulling
from devai_tasks.stack.compose_workload import ComposeWorkload
from devai_tasks.stack.session import Session
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.compose import engine_settings as engine
from devai_tasks.targets.compose import models as compose_models
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.image import building, fingerprint
from devai_tasks.workspace import state
from devai_tasks.workspace.ownership import Claim, Owner


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def settings(project: Project, *overrides: str) -> Settings:
    return load(project, Stack("dev", "local"), overrides, environ={})


Link = Callable[..., str]


@pytest.fixture
def link(project: Project, monkeypatch: pytest.MonkeyPatch) -> Link:
    """The link to a lab, by where the engine publishes its container, in which state, and whose it is."""

    def of(own: Settings, published: str, *, service: str = "devai", state: str = "running", owner: str = "") -> str:
        found = Owner(Claim.FOREIGN if owner else Claim.OWN, "the stack", "this folder", owner)
        monkeypatch.setattr(folder_ownership, "of_folder", lambda *_: found)
        rows = [{"service": service, "state": state, "published": [published]}]
        engine: Any = SimpleNamespace(choose=lambda _: None, containers=lambda _: rows)
        return compose.link(project, own, engine)

    return of


def test_the_link_opens_the_lab_with_its_token(project: Project, local_dev: Stack, link: Link) -> None:
    token = state.token(project, local_dev)
    assert link(settings(project), "127.0.0.1:8888") == f"http://127.0.0.1:8888/lab?token={token}"
    elsewhere = settings(
        project, "network.bind_address=192.0.2.7", "tls.proxy=true", "network.base_url=/team/a/", "ports.lab=9000"
    )
    assert link(elsewhere, "192.0.2.7:9000") == f"http://192.0.2.7:9000/team/a/lab?token={token}"


def test_an_address_of_the_environment_and_https_are_in_the_link(
    project: Project, monkeypatch: pytest.MonkeyPatch, link: Link
) -> None:
    monkeypatch.setenv("HOST_IP", "192.0.2.7")
    own = settings(project, "tls.local=true")
    assert link(own, "192.0.2.7:8888").startswith("https://192.0.2.7:8888/lab?token=")


@pytest.mark.parametrize("published", ["0.0.0.0:8888", ":8888"])
def test_a_lab_that_listens_everywhere_is_opened_on_this_machine(project: Project, link: Link, published: str) -> None:
    own = settings(project, "network.bind_address=0.0.0.0", "tls.proxy=true")
    assert link(own, published).startswith("http://127.0.0.1:8888/")


@pytest.mark.parametrize(
    ("published", "changed"),
    [
        ("127.0.0.1:8888", {"state": "exited"}),  # as Podman reports the port of a container that has ended
        ("127.0.0.1:8888", {"state": "created"}),
        ("127.0.0.1:8888", {"service": "ollama"}),
        ("127.0.0.1:9999", {}),  # started before ports.lab was changed
        ("192.0.2.7:8888", {}),
    ],
)
def test_there_is_no_link_to_a_port_that_the_stacks_own_lab_does_not_have(
    project: Project, link: Link, published: str, changed: dict[str, str]
) -> None:
    said = r"local-dev does not run at http://127\.0\.0\.1:8888/lab; `inv up --env=dev --cloud=local` starts the lab"
    with pytest.raises(DevaiError, match=said) as refused:
        link(settings(project), published, **changed)
    assert refused.value.exit_code == 1
    assert not (project.root / ".devai/local-dev/token").exists()


def test_there_is_no_link_to_the_lab_of_another_folder(project: Project, link: Link) -> None:
    with pytest.raises(UsageError, match="belongs to the folder /other"):
        link(settings(project), "127.0.0.1:8888", owner="the folder /other")


@pytest.mark.parametrize("key", ["ports.lab", "ports.ollama"])
def test_a_port_that_somebody_else_has_is_named_with_a_free_one(project: Project, taken_port: int, key: str) -> None:
    other = "ports.ollama" if key == "ports.lab" else "ports.lab"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(DevaiError, match=rf"port {taken_port} of 127\.0\.0\.1 is in use.*`--set {key}=\d+`") as refusal:
        compose.check_ports(settings(project, f"{key}={taken_port}", f"{other}={free}"), [])
    assert refusal.value.exit_code == 1


def test_a_port_that_the_stack_itself_has_is_no_obstacle(project: Project, taken_port: int) -> None:
    own = settings(project, f"ports.lab={taken_port}", "ollama.mode=host")
    compose.check_ports(own, [{"service": naming.LAB, "published": [f"127.0.0.1:{taken_port}"]}])


def test_an_address_that_the_machine_does_not_have_is_the_persons_to_fix(project: Project) -> None:
    with pytest.raises(UsageError, match=r"network\.bind_address: this machine has no address 192\.0\.2\.7"):
        compose.check_ports(settings(project, "network.bind_address=192.0.2.7", "tls.local=true"), [])


def test_a_port_that_is_not_published_is_not_looked_at(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    compose.check_ports(settings(project, f"ports.lab={free}", "ports.ollama=null"), [])


def test_a_forwarder_that_the_container_may_not_read_is_named_with_the_command(project: Project) -> None:
    forwarder = project.root / "deploy/kubernetes/base/files/forward.pl"
    forwarder.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(forwarder, 1000, 1000)
    own = settings(project)
    with pytest.raises(UsageError, match=r"`chmod a\+r deploy/kubernetes/base/files/forward\.pl` makes it readable"):
        compose.check(project, own, Docker(dry=True))
    forwarder.chmod(0o644)
    compose.check(project, own, Docker(dry=True))


@pytest.mark.parametrize(
    ("flags", "address"),
    [
        ([], "http://127.0.0.1:11434"),
        (["ports.ollama=9999"], "http://127.0.0.1:9999"),
        (["ports.ollama=null"], "http://ollama:11434"),
        (["ollama.mode=host", "ports.ollama=9999"], "http://127.0.0.1:11434"),
        (["ollama.mode=external", "ollama.url=https://192.0.2.7"], "https://192.0.2.7"),
    ],
)
def test_this_machine_finds_ollama_where_the_mode_says(shipped: Project, flags: list[str], address: str) -> None:
    assert compose_models.url(settings(shipped, *flags)) == address


@pytest.mark.parametrize(("name", "full"), [("a", "a:latest"), ("a:1b", "a:1b"), ("hf.co/a/b", "hf.co/a/b:latest")])
def test_a_model_without_a_tag_is_its_latest(name: str, full: str) -> None:
    assert pulling.tag(name) == full


@pytest.mark.parametrize(
    ("official", "local"),
    [
        ("debian:trixie-slim", "devai-base:trixie"),
        ("docker.io/library/debian:bookworm", "devai-base:bookworm"),
        ("ubuntu:24.04", None),
        ("debian:12", None),
        ("ghcr.io/debian:trixie", None),
        ("nvidia/cuda:13.0.1-runtime-ubuntu24.04", None),
    ],
)
def test_only_debian_has_a_stand_in_made_here(official: str, local: str | None) -> None:
    assert building.local_base(official) == local


class BreaksOff:
    """Fake of Compose on an engine: the first start is interrupted; notes which containers are recreated."""

    def __init__(self) -> None:
        self.recreated: list[str] = []

    def containers(self) -> list[dict[str, str]]:
        """One that runs."""
        return [{"service": "devai", "state": "running", "image_id": "sha256:before"}]

    def run_once(self, *_: object, **__: object) -> None:
        """As root: give the home to the lab."""

    def up(self, *, recreate: str, **_: object) -> None:
        """Start, from the second time on."""
        self.recreated.append(recreate)
        if len(self.recreated) == 1:
            raise KeyboardInterrupt


def workload(project: Project, settings: Settings, docker: Docker) -> ComposeWorkload:
    session = Session(project, "", "", (), gpu=False, dry=False, yes=True)
    vars(session).update(settings=settings, docker=docker)
    return ComposeWorkload(session)


def test_a_new_token_reaches_the_lab_though_the_first_start_is_interrupted(
    project: Project,
    clean_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, fake = settings(project), BreaksOff()
    docker, built = Docker(), list[int]()
    monkeypatch.setattr(compose, "check", lambda *_: own)
    monkeypatch.setattr(engine, "known", lambda *_: own)
    monkeypatch.setattr(compose, "compose", lambda *_: fake)
    monkeypatch.setattr(folder_ownership, "mark_folder", lambda *_: None)
    monkeypatch.setattr(Docker, "compose", lambda *_: fake)
    monkeypatch.setattr(Docker, "has_image", lambda *_: True)
    monkeypatch.setattr(Images, "inspect", lambda *_: {"Id": "sha256:before"})
    monkeypatch.setattr(building, "build", lambda *_: built.append(1))
    token = state.token(project, own.stack)
    state.keep_secrets(project, own.stack, dict.fromkeys(own.secrets, ""))
    with pytest.raises(KeyboardInterrupt) as interrupt:
        workload(project, own, docker).rotate(seconds=1)
    told = "the old token may still be valid; run `inv up --env=dev --cloud=local` to revoke it"
    assert interrupt.value.__notes__ == [told]
    assert built == []  # the image that the lab has is of other inputs than now, and no reason to wait
    assert state.token(project, own.stack) != token
    with pytest.raises(DevaiError, match="still have the old one; `inv up --env=dev --cloud=local` recreates them"):
        compose.start(project, own, docker)
    for _ in range(2):
        workload(project, own, docker).deploy()
    assert fake.recreated == ["all", "all", "changed"]
    compose.start(project, own, docker)
    assert fake.recreated[-1] == "nothing"


@pytest.mark.usefixtures("clean_environment")
def test_a_folder_that_became_dangerous_is_not_mounted_by_a_start_or_a_restart(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, fake = settings(project), BreaksOff()
    monkeypatch.setattr(engine, "known", lambda *_: own)
    monkeypatch.setattr(compose, "compose", lambda *_: fake)
    (project.root / "work").rename(project.root / "before")
    (project.root / "work").symlink_to("conf")
    for begin in (compose.start, partial(compose.restart, services=())):
        with pytest.raises(UsageError, match="in conf/ of the project"):
            begin(project, own, Docker())
    assert fake.recreated == []


def test_a_token_is_kept_where_the_lab_could_not_start_with_a_new_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise DevaiError("a service may use 64 cores and the engine has 2")

    own = settings(project)
    monkeypatch.setattr(compose, "check", too_large)
    monkeypatch.setattr(compose, "compose", lambda *_: BreaksOff())
    token = state.token(project, own.stack)
    with pytest.raises(DevaiError, match="64 cores"):
        workload(project, own, Docker()).rotate(seconds=1)
    assert state.token(project, own.stack) == token
    assert not state.restart_due(project, own.stack).exists()


@pytest.mark.parametrize(
    ("found", "running", "builds"),
    [
        (None, "", True),
        ({"Id": "sha256:a"}, "", True),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "others"}}}, "", True),  # another folder's, too
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "others"}}}, "sha256:b", True),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "others"}}}, "sha256:a", False),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "own"}}}, "", False),
        ({"Id": "sha256:a", "RepoDigests": ["r.test/devai-lab@sha256:pulled"]}, "", False),
        ({"Id": "sha256:a", "RepoDigests": ["r.test/devai-lab@sha256:another"]}, "", True),
    ],
)
def test_a_lab_runs_an_image_of_its_inputs_or_one_that_was_pulled_here(
    project: Project, monkeypatch: pytest.MonkeyPatch, found: Any, running: str, *, builds: bool
) -> None:
    built: list[str] = []
    plain = settings(project)
    own = replace(plain, image=replace(plain.image, digest="sha256:pulled"))
    monkeypatch.setattr(Images, "inspect", lambda *_: found)
    monkeypatch.setattr(fingerprint, "of", lambda *_: "own")
    monkeypatch.setattr(building, "build", lambda *_: built.append("built"))
    building.ensure(project, own, Docker(), running=running)
    assert built == ["built"] * builds

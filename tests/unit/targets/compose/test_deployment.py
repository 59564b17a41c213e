"""Docker Compose deployment without an engine: links, ports, addresses, tokens and images."""

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
    """Return a function that returns the link to a lab, by published address, state and owner of its container."""

    def of(
        settings: Settings, published: str, *, service: str = "devai", state: str = "running", owner: str = ""
    ) -> str:
        ownership = Owner(Claim.FOREIGN if owner else Claim.OWN, "the stack", "this folder", owner)
        monkeypatch.setattr(folder_ownership, "of_folder", lambda *_: ownership)
        rows = [{"service": service, "state": state, "published": [published]}]
        engine: Any = SimpleNamespace(choose=lambda _: None, containers=lambda _: rows)
        return compose.link(project, settings, engine)

    return of


def test_link_has_the_address_and_the_token(project: Project, local_dev: Stack, link: Link) -> None:
    token = state.token(project, local_dev)
    assert link(settings(project), "127.0.0.1:8888") == f"http://127.0.0.1:8888/lab?token={token}"
    published = settings(
        project, "network.bind_address=192.0.2.7", "tls.proxy=true", "network.base_url=/team/a/", "ports.lab=9000"
    )
    assert link(published, "192.0.2.7:9000") == f"http://192.0.2.7:9000/team/a/lab?token={token}"


def test_link_has_the_address_of_a_variable_and_https(
    project: Project, monkeypatch: pytest.MonkeyPatch, link: Link
) -> None:
    monkeypatch.setenv("HOST_IP", "192.0.2.7")
    configured = settings(project, "tls.local=true")
    assert link(configured, "192.0.2.7:8888").startswith("https://192.0.2.7:8888/lab?token=")


@pytest.mark.parametrize("published", ["0.0.0.0:8888", ":8888"])
def test_link_to_a_lab_on_all_addresses_uses_the_loopback(project: Project, link: Link, published: str) -> None:
    configured = settings(project, "network.bind_address=0.0.0.0", "tls.proxy=true")
    assert link(configured, published).startswith("http://127.0.0.1:8888/")


@pytest.mark.parametrize(
    ("published", "changed"),
    [
        ("127.0.0.1:8888", {"state": "exited"}),  # Podman also reports the port of a stopped container
        ("127.0.0.1:8888", {"state": "created"}),
        ("127.0.0.1:8888", {"service": "ollama"}),
        ("127.0.0.1:9999", {}),  # started before ports.lab was changed
        ("192.0.2.7:8888", {}),
    ],
)
def test_no_link_without_a_running_lab_at_its_address(
    project: Project, link: Link, published: str, changed: dict[str, str]
) -> None:
    message = r"local-dev does not run at http://127\.0\.0\.1:8888/lab; `inv up --env=dev --cloud=local` starts the lab"
    with pytest.raises(DevaiError, match=message) as refused:
        link(settings(project), published, **changed)
    assert refused.value.exit_code == 1
    assert not (project.root / ".devai/local-dev/token").exists()


def test_no_link_to_the_lab_of_another_folder(project: Project, link: Link) -> None:
    with pytest.raises(UsageError, match="belongs to the folder /other"):
        link(settings(project), "127.0.0.1:8888", owner="the folder /other")


@pytest.mark.parametrize("key", ["ports.lab", "ports.ollama"])
def test_used_port_is_reported_with_a_free_one(project: Project, taken_port: int, key: str) -> None:
    other_key = "ports.ollama" if key == "ports.lab" else "ports.lab"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(DevaiError, match=rf"port {taken_port} of 127\.0\.0\.1 is in use.*`--set {key}=\d+`") as refusal:
        compose.check_ports(settings(project, f"{key}={taken_port}", f"{other_key}={free}"), [])
    assert refusal.value.exit_code == 1


def test_port_of_the_running_stack_is_not_reported(project: Project, taken_port: int) -> None:
    configured = settings(project, f"ports.lab={taken_port}", "ollama.mode=host")
    compose.check_ports(configured, [{"service": naming.LAB, "published": [f"127.0.0.1:{taken_port}"]}])


def test_address_that_the_machine_does_not_have_is_a_usage_error(project: Project) -> None:
    with pytest.raises(UsageError, match=r"network\.bind_address: this machine has no address 192\.0\.2\.7"):
        compose.check_ports(settings(project, "network.bind_address=192.0.2.7", "tls.local=true"), [])


def test_unpublished_port_is_not_checked(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    compose.check_ports(settings(project, f"ports.lab={free}", "ports.ollama=null"), [])


def test_unreadable_forwarder_is_reported_with_the_command(project: Project) -> None:
    forwarder = project.root / "deploy/kubernetes/base/files/forward.pl"
    forwarder.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(forwarder, 1000, 1000)
    configured = settings(project)
    with pytest.raises(UsageError, match=r"`chmod a\+r deploy/kubernetes/base/files/forward\.pl` makes it readable"):
        compose.check(project, configured, Docker(dry=True))
    forwarder.chmod(0o644)
    compose.check(project, configured, Docker(dry=True))


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
def test_url_of_ollama_on_this_machine_depends_on_its_mode(shipped: Project, flags: list[str], address: str) -> None:
    assert compose_models.url(settings(shipped, *flags)) == address


@pytest.mark.parametrize(("name", "tagged"), [("a", "a:latest"), ("a:1b", "a:1b"), ("hf.co/a/b", "hf.co/a/b:latest")])
def test_model_without_a_tag_is_the_latest_one(name: str, tagged: str) -> None:
    assert pulling.tag(name) == tagged


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
def test_only_debian_has_a_locally_built_base_image(official: str, local: str | None) -> None:
    assert building.local_base(official) == local


class InterruptedCompose:
    """Fake of Compose on an engine: interrupts the first start, and records which containers are recreated."""

    def __init__(self) -> None:
        self.recreated: list[str] = []

    def containers(self) -> list[dict[str, str]]:
        """Return one running container."""
        return [{"service": "devai", "state": "running", "image_id": "sha256:before"}]

    def run_once(self, *_: object, **__: object) -> None:
        """Do nothing, where the real one runs chown on the home."""

    def up(self, *, recreate: str, **_: object) -> None:
        """Record the call; raise KeyboardInterrupt in the first one."""
        self.recreated.append(recreate)
        if len(self.recreated) == 1:
            raise KeyboardInterrupt


def workload(project: Project, settings: Settings, docker: Docker) -> ComposeWorkload:
    session = Session(project, "", "", (), gpu=False, dry=False, yes=True)
    vars(session).update(settings=settings, docker=docker)
    return ComposeWorkload(session)


def test_interrupted_rotation_of_the_token_is_completed_by_up(
    project: Project,
    clean_environment: None,  # noqa: ARG001 - for its side effect
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured, fake = settings(project), InterruptedCompose()
    docker, built = Docker(), list[int]()
    monkeypatch.setattr(compose, "check", lambda *_: configured)
    monkeypatch.setattr(engine, "known", lambda *_: configured)
    monkeypatch.setattr(compose, "compose", lambda *_: fake)
    monkeypatch.setattr(folder_ownership, "mark_folder", lambda *_: None)
    monkeypatch.setattr(Docker, "compose", lambda *_: fake)
    monkeypatch.setattr(Docker, "has_image", lambda *_: True)
    monkeypatch.setattr(Images, "inspect", lambda *_: {"Id": "sha256:before"})
    monkeypatch.setattr(building, "build", lambda *_: built.append(1))
    token = state.token(project, configured.stack)
    state.keep_secrets(project, configured.stack, dict.fromkeys(configured.secrets, ""))
    with pytest.raises(KeyboardInterrupt) as interrupt:
        workload(project, configured, docker).rotate(seconds=1)
    note = "the old token may still be valid; run `inv up --env=dev --cloud=local` to revoke it"
    assert interrupt.value.__notes__ == [note]
    assert built == []  # the fingerprint of the lab's image has changed, but a rotation must not wait for a build
    assert state.token(project, configured.stack) != token
    with pytest.raises(DevaiError, match="still have the old one; `inv up --env=dev --cloud=local` recreates them"):
        compose.start(project, configured, docker)
    for _ in range(2):
        workload(project, configured, docker).deploy()
    assert fake.recreated == ["all", "all", "changed"]
    compose.start(project, configured, docker)
    assert fake.recreated[-1] == "nothing"


@pytest.mark.usefixtures("clean_environment")
def test_start_and_restart_refuse_a_work_folder_that_became_unsafe(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured, fake = settings(project), InterruptedCompose()
    monkeypatch.setattr(engine, "known", lambda *_: configured)
    monkeypatch.setattr(compose, "compose", lambda *_: fake)
    (project.root / "work").rename(project.root / "before")
    (project.root / "work").symlink_to("conf")
    for run in (compose.start, partial(compose.restart, services=())):
        with pytest.raises(UsageError, match="in conf/ of the project"):
            run(project, configured, Docker())
    assert fake.recreated == []


def test_token_is_not_rotated_if_a_check_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DevaiError("a service may use 64 cores and the engine has 2")

    configured = settings(project)
    monkeypatch.setattr(compose, "check", fail)
    monkeypatch.setattr(compose, "compose", lambda *_: InterruptedCompose())
    token = state.token(project, configured.stack)
    with pytest.raises(DevaiError, match="64 cores"):
        workload(project, configured, Docker()).rotate(seconds=1)
    assert state.token(project, configured.stack) == token
    assert not state.restart_due(project, configured.stack).exists()


@pytest.mark.parametrize(
    ("image", "running", "builds"),
    [
        (None, "", True),
        ({"Id": "sha256:a"}, "", True),
        # Also an image of another folder.
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "other"}}}, "", True),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "other"}}}, "sha256:b", True),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "other"}}}, "sha256:a", False),
        ({"Id": "sha256:a", "Config": {"Labels": {fingerprint.LABEL: "current"}}}, "", False),
        ({"Id": "sha256:a", "RepoDigests": ["r.test/devai-lab@sha256:pulled"]}, "", False),
        ({"Id": "sha256:a", "RepoDigests": ["r.test/devai-lab@sha256:another"]}, "", True),
    ],
)
def test_image_is_built_unless_current_running_or_pulled(
    project: Project, monkeypatch: pytest.MonkeyPatch, image: Any, running: str, *, builds: bool
) -> None:
    built: list[str] = []
    plain = settings(project)
    pinned = replace(plain, image=replace(plain.image, digest="sha256:pulled"))
    monkeypatch.setattr(Images, "inspect", lambda *_: image)
    monkeypatch.setattr(fingerprint, "of", lambda *_: "current")
    monkeypatch.setattr(building, "build", lambda *_: built.append("built"))
    building.ensure(project, pinned, Docker(), running=running)
    assert built == ["built"] * builds

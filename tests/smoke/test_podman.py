"""A stack on rootful Podman, with the images that Docker has built."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import podman
from harness.arbitrary_uid import assert_lab_runs_as_arbitrary_uid, package
from harness.engine import docker, transfer_image
from harness.jupyter import Jupyter
from harness.stack import UID, ComposeStack

LAB = "devai-test-lab:local-podman"
CELL = """
import ollama, pathlib, subprocess
pathlib.Path.home().joinpath('work/made-by-podman').touch()
print(ollama.list().models)
print(subprocess.run(['id', '-u'], capture_output=True, text=True).stdout)
"""


@pytest.fixture(scope="module")
def podman_socket() -> Iterator[str]:
    """The address of a rootful Podman."""
    with podman.podman() as socket:
        yield socket


@pytest.fixture(scope="module")
def podman_stack(stack: ComposeStack, podman_socket: str, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack that only Podman runs."""
    root = stack.project.root
    (root / "podman-work").mkdir()
    os.chown(root / "podman-work", UID, UID)
    (root / "conf/profiles/podman.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        f"engine: {{uid: {UID}, gid: {UID}}}\nstorage: {{work_dir: podman-work}}\n"
        "resources: {lab: {memory: 1Gi}, ollama: {memory: 2Gi}}\n",
        encoding="utf-8",
    )
    override = root / "deploy/compose/docker-compose.override.yml"
    override.write_text(podman.OVERRIDE, encoding="utf-8")
    transfer_image("devai-test-lab:local-smoke", [LAB], podman_socket)
    transfer_image(stack.ollama_image, [stack.ollama_image], podman_socket)
    yield ComposeStack(stack.project, "podman")
    override.unlink()


@pytest.mark.parametrize("uid", [0, 1000, 1001, UID])
def test_stack_runs_on_podman_for_each_user(podman_stack: ComposeStack, podman_socket: str, uid: int) -> None:
    environ = {"DOCKER_HOST": podman_socket}
    file = podman_stack.project.root / "podman-work/made-by-podman"
    os.chown(file.parent, uid, uid)
    started = podman_stack.inv("compose.up", f"--set=engine.uid={uid}", f"--set=engine.gid={uid}", environ=environ)
    assert started.returncode == 0, started.stderr
    try:
        jupyter = Jupyter(started.stdout.strip())
        assert jupyter.status("api/status", token=False) == 403
        assert jupyter.execute(CELL).split() == ["[]", str(uid)]
        assert (file.stat().st_uid, file.stat().st_gid) == (uid, uid)
        # Otherwise an enforcing SELinux denies the containers access to the user's files.
        for service in ("devai", "ollama"):
            options = "--format={{.HostConfig.SecurityOpt}}"
            assert "label=disable" in docker("inspect", options, podman_stack.container(service), engine=podman_socket)
        rows = json.loads(podman_stack.inv("compose.ps", "--json", environ=environ).stdout)
        assert [(row["service"], row["state"]) for row in rows] == [("devai", "running"), ("ollama", "running")]
        assert podman_stack.inv("open", "--print", environ=environ).stdout == started.stdout
        user = [f"--set=engine.uid={uid}", f"--set=engine.gid={uid}"]
        identity = podman_stack.inv("compose.shell", "--command=id -u", *user, environ=environ)
        assert identity.stdout.strip() == str(uid), identity.stderr
        assert "Jupyter Server" in podman_stack.inv("compose.logs", "--service=devai", environ=environ).stdout
    finally:
        file.unlink(missing_ok=True)  # the user of the next test case cannot write to it
        removed = podman_stack.inv("compose.down", "--data", "--confirm=devai-test-local-podman", environ=environ)
        assert removed.returncode == 0, removed.stderr
    assert json.loads(podman_stack.inv("compose.ps", "--json", environ=environ).stdout) == []


@pytest.mark.usefixtures("podman_stack")
def test_lab_runs_with_an_arbitrary_uid_of_group_0(tmp_path: Path, podman_socket: str) -> None:
    package(tmp_path)
    assert_lab_runs_as_arbitrary_uid(LAB, tmp_path, *podman.LIMITS, engine=podman_socket)


def test_stopped_service_is_reported_without_waiting(podman_stack: ComposeStack, podman_socket: str) -> None:
    """On Podman the package waits for services itself, because Podman's own health checks need systemd."""
    hook = podman_stack.project.root / "hooks/10-broken"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    hook.chmod(0o755)
    override = podman_stack.project.root / "deploy/compose/docker-compose.override.yml"
    volume = f"'{hook.parent}:/usr/local/bin/before-start.d:ro'"
    mounted = f"  devai:\n    <<: *limits\n    restart: 'no'\n    volumes: [{volume}]\n"
    override.write_text(podman.OVERRIDE.replace("  devai: *limits\n", mounted), encoding="utf-8")
    environ = {"DOCKER_HOST": podman_socket}
    try:
        failed = podman_stack.inv("compose.up", environ=environ)
        assert failed.returncode == 1
        assert "devai has stopped: " in failed.stderr
        assert "`inv compose.logs` shows its output" in failed.stderr
    finally:
        hook.unlink()
        assert (
            podman_stack.inv("compose.down", "--data", "--confirm=devai-test-local-podman", environ=environ).returncode
            == 0
        )
        override.write_text(podman.OVERRIDE, encoding="utf-8")

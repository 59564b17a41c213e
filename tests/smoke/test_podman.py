"""The same stack on Podman, as root: started, asked, stopped. Its images are those that Docker has built."""

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
def engine_of_podman() -> Iterator[str]:
    with podman.podman() as socket:
        yield socket


@pytest.fixture(scope="module")
def own(stack: ComposeStack, engine_of_podman: str, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack of which only Podman knows."""
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
    transfer_image("devai-test-lab:local-smoke", [LAB], engine_of_podman)
    transfer_image(stack.ollama_image, [stack.ollama_image], engine_of_podman)
    yield ComposeStack(stack.project, "podman")
    override.unlink()


@pytest.mark.parametrize("uid", [0, 1000, 1001, UID])
def test_a_stack_lives_on_podman(own: ComposeStack, engine_of_podman: str, uid: int) -> None:
    environ = {"DOCKER_HOST": engine_of_podman}
    made = own.project.root / "podman-work/made-by-podman"
    os.chown(made.parent, uid, uid)
    started = own.inv("compose.up", f"--set=engine.uid={uid}", f"--set=engine.gid={uid}", environ=environ)
    assert started.returncode == 0, started.stderr
    try:
        jupyter = Jupyter(started.stdout.strip())
        assert jupyter.status("api/status", token=False) == 403
        assert jupyter.execute(CELL).split() == ["[]", str(uid)]
        assert (made.stat().st_uid, made.stat().st_gid) == (uid, uid)
        # Or SELinux, where it is on, lets them read no file of a person.
        for service in ("devai", "ollama"):
            options = "--format={{.HostConfig.SecurityOpt}}"
            assert "label=disable" in docker("inspect", options, own.container(service), engine=engine_of_podman)
        rows = json.loads(own.inv("compose.ps", "--json", environ=environ).stdout)
        assert [(row["service"], row["state"]) for row in rows] == [("devai", "running"), ("ollama", "running")]
        assert own.inv("open", "--print", environ=environ).stdout == started.stdout
        as_the_caller = [f"--set=engine.uid={uid}", f"--set=engine.gid={uid}"]
        identity = own.inv("compose.shell", "--command=id -u", *as_the_caller, environ=environ)
        assert identity.stdout.strip() == str(uid), identity.stderr
        assert "Jupyter Server" in own.inv("compose.logs", "--service=devai", environ=environ).stdout
    finally:
        made.unlink(missing_ok=True)  # the next user cannot write to it
        removed = own.inv("compose.down", "--data", "--confirm=devai-test-local-podman", environ=environ)
        assert removed.returncode == 0, removed.stderr
    assert json.loads(own.inv("compose.ps", "--json", environ=environ).stdout) == []


@pytest.mark.usefixtures("own")
def test_a_number_of_group_0_that_no_account_has_may_run_the_lab(tmp_path: Path, engine_of_podman: str) -> None:
    package(tmp_path)
    assert_lab_runs_as_arbitrary_uid(LAB, tmp_path, *podman.LIMITS, engine=engine_of_podman)


def test_a_service_that_stops_is_named_and_not_waited_for(own: ComposeStack, engine_of_podman: str) -> None:
    """By us, for Compose waits for nothing on Podman."""
    hook = own.project.root / "hooks/10-broken"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    hook.chmod(0o755)
    override = own.project.root / "deploy/compose/docker-compose.override.yml"
    volume = f"'{hook.parent}:/usr/local/bin/before-start.d:ro'"
    mounted = f"  devai:\n    <<: *limits\n    restart: 'no'\n    volumes: [{volume}]\n"
    override.write_text(podman.OVERRIDE.replace("  devai: *limits\n", mounted), encoding="utf-8")
    environ = {"DOCKER_HOST": engine_of_podman}
    try:
        failed = own.inv("compose.up", environ=environ)
        assert failed.returncode == 1
        assert "devai has stopped: " in failed.stderr
        assert "`inv compose.logs` shows its output" in failed.stderr
    finally:
        hook.unlink()
        assert own.inv("compose.down", "--data", "--confirm=devai-test-local-podman", environ=environ).returncode == 0
        override.write_text(podman.OVERRIDE, encoding="utf-8")

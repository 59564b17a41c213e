"""Artifacts of a real stack are whole and the same, whoever writes them, wherever, and whenever that is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.stack import artifacts
from devai_tasks.workspace import writer
from devai_tasks.workspace.writer import Artifacts

Run = Callable[..., subprocess.CompletedProcess[str]]
STACK = Stack("prod", "aws")
# Two configurations of one stack whose artifacts all differ.
OVERRIDES = (("project.name=one",), ("project.name=other",))


def kill_while_it_writes(project: Project, sets: list[Artifacts], seconds: float) -> None:
    """A process of its own writes both in turns until it is killed; forked, so that it starts in no time."""
    begun, begins = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(begins, b"!")
            while True:
                for one in sets:
                    writer.write(one, project.artifacts(STACK), whole=True)
        finally:
            os._exit(1)
    os.read(begun, 1)
    os.close(begun)
    os.close(begins)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def present(project: Project) -> list[Artifacts]:
    """The targets that are there, each with its files."""
    folder = project.artifacts(STACK)
    return [
        {f"{link.name}/{path}": text for path, text in writer.present(link).items()}
        for link in sorted(folder.iterdir())
        if link.is_symlink() and not link.name.startswith(".")
    ]


def orphans(project: Project) -> set[str]:
    """What a run that was cut off has begun, or not yet removed."""
    entries = {path.name: path for path in project.artifacts(STACK).iterdir()}
    current = {path.readlink().name for name, path in entries.items() if path.is_symlink() and name[0] != "."}
    return {name for name in entries if name[0] == "."} - current - {".lock"}


def target(files: Artifacts, like: Artifacts) -> Artifacts:
    name = next(iter(like)).partition("/")[0]
    return {path: text for path, text in files.items() if path.startswith(f"{name}/")}


def test_killed_write_leaves_complete_artifact_sets(project: Project) -> None:
    settings = tuple(load(project, STACK, overrides, environ={}) for overrides in OVERRIDES)
    sets = [artifacts.render(project, one) for one in settings]
    artifacts.write(project, settings[0])
    some, interrupted = random.Random(0), 0
    for moment in range(100):
        kill_while_it_writes(project, sets, some.uniform(0, 0.03))
        found = present(project)
        assert len(found) == len(writer.targets(sets[0])), moment
        for files in found:
            assert files in [target(one, like=files) for one in sets], moment
        interrupted += bool(orphans(project))
    assert interrupted, "no kill came while anything was written"
    artifacts.write(project, settings[0])
    assert artifacts.out_of_date(project, settings[0]) == []


@pytest.mark.parametrize("turn", range(5))
def test_concurrent_writes_leave_artifacts_of_one_run(project: Project, turn: int) -> None:
    del turn  # chance decides which of them is later
    devai = str(Path(sys.executable).with_name("devai"))
    command = [devai, "config.render", f"--env={STACK.environment}", f"--cloud={STACK.cloud}"]
    runs = [
        subprocess.Popen([*command, *(f"--set={one}" for one in overrides)], cwd=project.root, stderr=subprocess.PIPE)
        for overrides in OVERRIDES
    ]
    for run in runs:
        assert run.wait(60) == 0, run.stderr and run.stderr.read()
        assert run.stderr
        run.stderr.close()
    sets = [artifacts.render(project, load(project, STACK, overrides)) for overrides in OVERRIDES]
    for files in present(project):
        assert files in [target(one, like=files) for one in sets]


def test_rendering_is_reproducible_in_another_folder_and_locale(project: Project, cli: Run, tmp_path: Path) -> None:
    def rendered(root: Path) -> dict[str, bytes]:
        links = [path for path in (root / "generated").glob("*/*") if not path.name.startswith(".")]
        return {
            f"{link.parent.name}/{link.name}/{file.name}": file.read_bytes()
            for link in links
            for file in link.iterdir()
        }

    assert cli("devai", "config.render", "--all", PYTHONHASHSEED="1").returncode == 0
    before = rendered(project.root)
    assert len(before) > 20
    subprocess.run(["cp", "-r", project.root, tmp_path / "elsewhere"], check=True)
    subprocess.run(["rm", "-rf", tmp_path / "elsewhere/generated"], check=True)
    command = [str(Path(sys.executable).with_name("devai")), "config.render", "--all"]
    later = {**os.environ, "PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, cwd=tmp_path / "elsewhere", env=later, check=True, capture_output=True)
    assert rendered(tmp_path / "elsewhere") == before

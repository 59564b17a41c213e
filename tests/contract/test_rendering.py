"""Artifacts of a stack are complete after killed and concurrent writes, and identical on every machine."""

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
# Two configurations of one stack; all of their artifacts differ.
OVERRIDES = (("project.name=left",), ("project.name=right",))


def kill_while_writing(project: Project, sets: list[Artifacts], seconds: float) -> None:
    """Write the sets in turn in a child process, and kill it after some seconds. A fork starts fast."""
    started, starting = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(starting, b"!")
            while True:
                for files in sets:
                    writer.write(files, project.artifacts(STACK), whole=True)
        finally:
            os._exit(1)
    os.read(started, 1)
    os.close(started)
    os.close(starting)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def present(project: Project) -> list[Artifacts]:
    """Return the files of each existing target."""
    folder = project.artifacts(STACK)
    return [
        {f"{link.name}/{path}": text for path, text in writer.present(link).items()}
        for link in sorted(folder.iterdir())
        if link.is_symlink() and not link.name.startswith(".")
    ]


def orphans(project: Project) -> set[str]:
    """Return the files and folders that an interrupted write left."""
    entries = {path.name: path for path in project.artifacts(STACK).iterdir()}
    current = {path.readlink().name for name, path in entries.items() if path.is_symlink() and name[0] != "."}
    return {name for name in entries if name[0] == "."} - current - {".lock"}


def target(files: Artifacts, like: Artifacts) -> Artifacts:
    name = next(iter(like)).partition("/")[0]
    return {path: text for path, text in files.items() if path.startswith(f"{name}/")}


def test_killed_write_leaves_complete_artifact_sets(project: Project) -> None:
    settings = tuple(load(project, STACK, overrides, environ={}) for overrides in OVERRIDES)
    sets = [artifacts.render(project, each) for each in settings]
    artifacts.write(project, settings[0])
    delays, interrupted = random.Random(0), 0
    for attempt in range(100):
        kill_while_writing(project, sets, delays.uniform(0, 0.03))
        targets = present(project)
        assert len(targets) == len(writer.targets(sets[0])), attempt
        for files in targets:
            assert files in [target(each, like=files) for each in sets], attempt
        interrupted += bool(orphans(project))
    assert interrupted, "no kill interrupted a write"
    artifacts.write(project, settings[0])
    assert artifacts.out_of_date(project, settings[0]) == []


@pytest.mark.parametrize("attempt", range(5))
def test_concurrent_writes_leave_artifacts_of_one_run(project: Project, attempt: int) -> None:
    del attempt  # the order of the writes varies
    devai = str(Path(sys.executable).with_name("devai"))
    command = [devai, "config.render", f"--env={STACK.environment}", f"--cloud={STACK.cloud}"]
    runs = [
        subprocess.Popen(
            [*command, *(f"--set={override}" for override in overrides)], cwd=project.root, stderr=subprocess.PIPE
        )
        for overrides in OVERRIDES
    ]
    for run in runs:
        assert run.wait(60) == 0, run.stderr and run.stderr.read()
        assert run.stderr
        run.stderr.close()
    sets = [artifacts.render(project, load(project, STACK, overrides)) for overrides in OVERRIDES]
    for files in present(project):
        assert files in [target(each, like=files) for each in sets]


def test_rendering_is_reproducible_in_another_folder_and_locale(project: Project, cli: Run, tmp_path: Path) -> None:
    def rendered_files(root: Path) -> dict[str, bytes]:
        links = [path for path in (root / "generated").glob("*/*") if not path.name.startswith(".")]
        return {
            f"{link.parent.name}/{link.name}/{file.name}": file.read_bytes()
            for link in links
            for file in link.iterdir()
        }

    assert cli("devai", "config.render", "--all", PYTHONHASHSEED="1").returncode == 0
    before = rendered_files(project.root)
    assert len(before) > 20
    subprocess.run(["cp", "-r", project.root, tmp_path / "elsewhere"], check=True)
    subprocess.run(["rm", "-rf", tmp_path / "elsewhere/generated"], check=True)
    command = [str(Path(sys.executable).with_name("devai")), "config.render", "--all"]
    environ = {**os.environ, "PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, cwd=tmp_path / "elsewhere", env=environ, check=True, capture_output=True)
    assert rendered_files(tmp_path / "elsewhere") == before

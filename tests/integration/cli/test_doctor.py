"""`inv doctor` on the command line, with a fake container engine or without programs."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project
from devai_tasks.targets.compose import deployment as compose

Run = Callable[..., CompletedProcess[str]]
KEYS = {"group", "name", "state", "found", "wanted", "way_out", "fixable"}
# Fake Docker: an engine that has the base image and runs no container, with the values of a real `docker info`.
DOCKER = """#!/bin/sh
case "$*" in
"version "*) echo '{"Server": {"Version": "28.2.2", "Components": [{"Name": "Engine", "Version": "28.2.2"}]}}';;
--version) echo Docker version 28.2.2;;
buildx*version) echo github.com/docker/buildx v0.29.1;;
*version*) echo 2.40.3;;
*info*) echo '{"ServerVersion": "28.2.2", "OperatingSystem": "Docker Desktop", "NCPU": 8, "MemTotal": 34359738368}';;
*image*inspect*) echo '[{"Id": "sha256:0"}]';;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake Docker, and a machine whose ports are all free."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(compose, "check_ports", lambda *_: None)


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.usefixtures("engine")
def test_complete_machine_can_run_the_lab(devai: Run) -> None:
    result = devai("doctor")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("local-dev can run\n")
    assert result.stderr == ""
    assert "\x1b" not in result.stdout  # a pipe has no colors


@pytest.mark.usefixtures("no_programs")
def test_each_missing_program_is_reported_with_a_hint(devai: Run) -> None:
    result = devai("doctor")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    for name in ("docker", "compose", "buildx", "engine"):
        position = next(
            index for index, line in enumerate(lines) if line[:1] in "✗x" and line[2:].startswith(f"{name} ")
        )
        assert "make bootstrap" in lines[position + 1]
    assert lines[-1].startswith("local-dev cannot run: ")


@pytest.mark.usefixtures("no_programs")
def test_json_output_has_the_same_keys_for_every_check(devai: Run) -> None:
    result = devai("doctor", "--json", "--cloud=aws")
    assert result.returncode == 1
    shown = json.loads(result.stdout)
    assert (shown["stack"], shown["can_run"], shown["fixed"]) == ("aws-dev", False, [])
    assert all(set(check) == KEYS for check in shown["checks"])
    states = {check["name"]: check["state"] for check in shown["checks"]}
    assert (states["aws"], states["az"], states["credentials"]) == ("failed", "unneeded", "failed")
    assert {"tools", "engine", "configuration", "cloud"} == {check["group"] for check in shown["checks"]}


@pytest.mark.usefixtures("engine")
def test_fix_applies_safe_fixes_and_reports_them(project: Project, devai: Run) -> None:
    secrets = project.conf / "secrets.yaml"
    secrets.write_text("OPENAI_API_KEY: x\n", encoding="utf-8")
    secrets.chmod(0o644)
    devai("config.render")
    (project.conf / "personal.yaml").write_text("ports: {lab: 8899}\n", encoding="utf-8")
    before = devai("doctor")
    assert before.returncode == 1
    assert "`inv doctor --fix` fixes artifacts, conf/secrets.yaml" in before.stdout
    fixed = devai("doctor", "--fix")
    assert fixed.returncode == 0, fixed.stdout
    expected = ["fixed: rendered generated/local-dev/ again", "fixed: chmod 600 conf/secrets.yaml"]
    assert fixed.stderr.splitlines() == expected
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert "8899" in (project.root / "generated/local-dev/compose/.env").read_text(encoding="utf-8")


@pytest.mark.usefixtures("engine")
def test_doctor_without_fix_and_dry_run_change_nothing(project: Project, devai: Run) -> None:
    before = sorted(project.root.rglob("*"))
    devai("doctor")
    devai("--dry", "doctor", "--fix")
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.usefixtures("no_programs")
def test_configuration_error_is_reported_as_a_problem(project: Project, devai: Run) -> None:
    (project.conf / "personal.yaml").write_text("ports: {labb: 1}\n", encoding="utf-8")
    result = devai("doctor")
    assert result.returncode == 1
    assert "1 problem; required: none" in result.stdout
    assert "conf/personal.yaml:1:9  ports.labb" in result.stdout
    assert "did you mean lab?" in result.stdout


def test_unknown_environment_is_a_usage_error(devai: Run) -> None:
    result = devai("doctor", "--env=prdo")
    assert result.returncode == 2
    assert "did you mean prod?" in result.stderr


@pytest.mark.usefixtures("no_programs")
def test_dry_run_prints_the_commands_of_the_checks(devai: Run) -> None:
    result = devai("--dry", "doctor")
    assert result.returncode == 0
    assert {"docker --version", "docker compose version --short", "az version"} <= set(result.stderr.splitlines())

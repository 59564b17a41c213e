"""Makefile: `make help` lists all targets, and each recipe calls one task or session."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.prerequisites import skip_or_fail

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTED = {
    *("compose-up", "compose-up-gpu", "compose-down", "compose-logs", "k8s-build", "k8s-apply", "k8s-delete"),
    *(f"tf-{verb}-{cloud}" for verb in ("init", "plan", "apply", "destroy") for cloud in ("aws", "azure", "gcp")),
    *("up", "down", "doctor", "plan", "status", "open", "logs", "stop", "start", "test"),
}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("make"):
        skip_or_fail("make is not installed")
    # Without the variables of a `make test` that runs these tests.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_help_is_grouped_and_fits_a_terminal() -> None:
    lines = make("help").stdout.splitlines()
    groups = [line for line in lines if line and not line.startswith((" ", "Variables"))]
    assert groups[:3] == ["Start", "Inspect a stack", "Stop and remove a stack"]
    assert groups[-1] == "Check"
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in "".join(lines)  # a pipe has no colors
    listed = {line.split()[1] for line in lines if line.startswith("  make ")}
    described = {line.split()[0].rstrip(":") for line in MAKEFILE.splitlines() if re.match(r"[a-z0-9 -]+:.*## ", line)}
    assert listed == described


def test_every_documented_target_exists() -> None:
    for name in DOCUMENTED:
        assert make("--dry-run", "--assume-old=bootstrap", "--assume-old=environment", name).returncode == 0, name


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("tf-apply-azure", "ENV=prod"), "inv tf.apply --cloud=azure --env=prod"),
        (("k8s-apply", "ENV=prod", "CLOUD=aws"), "inv k8s.apply --env=prod --cloud=aws"),
        (("compose-up-gpu", "SET=ports.lab=9000 project.name=x"), "inv compose.up --gpu --set=ports.lab=9000 --set="),
        (("doctor",), "inv doctor"),
    ],
)
def test_variables_on_the_command_line_become_flags(arguments: tuple[str, ...], command: str) -> None:
    shown = make("--dry-run", "--assume-old=bootstrap", "--assume-old=environment", *arguments).stdout
    assert command in " ".join(shown.splitlines()[-1].split())


def test_make_test_runs_the_sessions_that_contributing_lists() -> None:
    table = re.findall(
        r"^\| (\S+) \|.*\| yes \|$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    shown = make("--dry-run", "--assume-old=bootstrap", "test").stdout
    (sessions,) = re.findall(r"run_sessions.py --jobs=\d (.*)$", shown, re.MULTILINE)
    assert sorted(sessions.split()) == sorted(table)

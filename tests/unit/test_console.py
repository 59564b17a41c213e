"""Colours are for terminals: not for pipes, and not where NO_COLOR says so. On a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from devai_tasks.config.project import Project

ESCAPE = "\x1b["
COLOUR = f"{ESCAPE}3"
# Where nobody listens: a failure, so that there is something red, on a machine of any kind.
WORDS = ["doctor", "--set=network.bind_address=192.0.2.1"]


def on_a_terminal(project: Project, **variables: str) -> str:
    """What a task prints on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [Path(sys.executable).with_name("inv"), *WORDS],
        cwd=project.root,
        env=environ | {"TERM": "xterm-256color", "COLUMNS": "100", **variables},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        printed += part
    os.close(ours)
    process.wait()
    return printed.decode()


@pytest.mark.usefixtures("nobodys_environment")
def test_a_terminal_gets_colours_and_a_sign_that_it_goes_on(project: Project) -> None:
    printed = on_a_terminal(project)
    assert COLOUR in printed
    assert "looking" in printed
    assert "cannot run" in printed


@pytest.mark.usefixtures("nobodys_environment")
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_who_wants_no_colours_gets_none(project: Project, variables: dict[str, str]) -> None:
    printed = on_a_terminal(project, **variables)
    assert COLOUR not in printed
    assert "cannot run" in printed


@pytest.mark.usefixtures("nobodys_environment")
def test_a_pipe_gets_text_and_nothing_else(project: Project) -> None:
    inv = Path(sys.executable).with_name("inv")
    done = subprocess.run([inv, *WORDS], cwd=project.root, capture_output=True, text=True, check=False)
    assert ESCAPE not in done.stdout + done.stderr
    assert "looking" not in done.stderr
    assert "cannot run" in done.stdout

"""The first ten minutes on a laptop, typed at a terminal: the output is what a new user reads.

`DEVAI_TRANSCRIPT=docs/tutorials/first-minutes.md` writes a transcript.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[2]
PROMPT = "devai-lab> "
HEAD = """# The first minutes

A recorded terminal session of a test (`tests/smoke/test_first_minutes.py`). A line that contains only `…` represents
omitted output.

"""


@dataclass
class Terminal:
    """A shell at a terminal of 100 columns, and its transcript."""

    child: pexpect.spawn[str]
    transcript: list[tuple[str, str]] = field(default_factory=list)
    """The typed lines, each with its output."""

    def type(self, line: str, *answers: tuple[str, str], minutes: float = 1) -> str:
        """Type a line, answer questions, and wait for the prompt; return the output.

        Args:
            line: the command line.
            answers: pairs of a question and its answer.
            minutes: time limit for each question and for the prompt.
        """
        self.child.sendline(line)
        waiting = dict(answers)
        output = ""
        while True:
            index = self.child.expect_exact([PROMPT, *waiting], timeout=minutes * 60)
            output += self.child.before or ""
            if index == 0:
                break
            question = list(waiting)[index - 1]
            output += question
            self.child.sendline(waiting.pop(question))
        # The terminal echoes the typed line.
        text = output.replace("\r\n", "\n").partition("\n")[2]
        self.transcript.append((line, text))
        return text

    def code(self) -> int:
        """Return the exit code of the last command."""
        self.child.sendline("echo code=$?")
        self.child.expect_exact(PROMPT)
        match = re.search(r"^code=(\d+)", self.child.before or "", flags=re.MULTILINE)
        assert match
        return int(match[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A shell in an empty folder; the containers and volumes of the stack are removed afterwards."""
    environ = {**os.environ, "PS1": PROMPT, "TERM": "dumb", "NO_COLOR": "1", "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    # A new user's terminal is not in a virtual environment, and was not started by make.
    for name in ("VIRTUAL_ENV", "MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
        environ.pop(name, None)
    child = pexpect.spawn(
        "bash", ["--norc", "--noprofile"], cwd=str(tmp_path), env=environ, encoding="utf-8", dimensions=(40, 100)
    )
    child.delaybeforesend = 0.1
    child.expect_exact(PROMPT)
    terminal = Terminal(child)
    yield terminal
    child.close(force=True)
    if remaining := containers():
        subprocess.run(["docker", "rm", "--force", "--volumes", *remaining], capture_output=True, check=True)
        # Volumes would belong to the folder of this run, and the next run would be refused.
        command = ["docker", "volume", "ls", "--quiet", "--filter=name=tour-local-dev_"]
        volumes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["docker", "volume", "rm", *volumes], capture_output=True, check=False)
    if file := os.environ.get("DEVAI_TRANSCRIPT"):
        (ROOT / file).write_text(markdown(terminal, tmp_path), encoding="utf-8")


def test_first_ten_minutes_from_clone_to_down(terminal: Terminal, free_port: Callable[[], int]) -> None:
    lab, ollama = free_port(), free_port()
    terminal.type(f"git clone --quiet {ROOT} lab && cd lab")
    # A separate name and free ports: a developer's machine may run a lab already.
    personal = f"{{project: {{name: tour}}, ports: {{lab: {lab}, ollama: {ollama}}}}}"
    terminal.type(f"echo '{personal}' >conf/personal.yaml")
    up = terminal.type("make up", ("continue? [y/N]", "y"), minutes=15)
    assert "bootstrap: to do on this machine:" in up
    assert re.search(r"\[1/3\] image: done in \d+ s\n", up)
    assert re.search(r"\[3/3\] models: done in \d+ s\n", up)
    assert re.search(rf"^http://127\.0\.0\.1:{lab}/lab\?token=\w+$", up.rstrip().splitlines()[-1])

    terminal.type("source .venv/bin/activate")
    assert "nothing to change" in terminal.type("inv plan")
    terminal.type("inv config.set --env=dev --set=resources.lab.memory=3Gi")
    plan = terminal.type("inv plan")
    assert re.search(r"^compose +replaced +devai +its definition *$", plan, flags=re.MULTILINE)
    assert "resources.lab.memory: 4Gi -> 3Gi\n" in plan
    assert plan.endswith("local-dev: 1 change: 1 in compose\n")
    again = terminal.type("inv up", minutes=5)
    assert ": up to date" in again
    status = terminal.type("inv status")
    assert re.search(r"^compose +devai +running healthy +tour-lab:local-dev", status, flags=re.MULTILINE)
    assert "drift: none\n" in status
    assert "last change: up by " in status
    terminal.type("inv down")
    assert terminal.code() == 0
    assert containers() == []

    refused = terminal.type("inv down --data", ("type tour-local-dev to continue:", "local-dev"))
    assert "'local-dev' is not tour-local-dev; nothing was changed" in refused
    assert terminal.code() == 2
    terminal.type("inv down --data", ("type tour-local-dev to continue:", "tour-local-dev"))
    assert terminal.code() == 0


def containers() -> list[str]:
    """Return the IDs of the stack's containers."""
    command = ["docker", "ps", "--all", "--quiet", "--filter=label=com.docker.compose.project=tour-local-dev"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


LONGEST = 14


def markdown(terminal: Terminal, folder: Path) -> str:
    """Return the transcript for the documentation, without names of this machine, and with long output shortened."""
    blocks = []
    for typed, text in terminal.transcript:
        # Drop progress lines, which are redrawn, and duplicates.
        lines = [line.rstrip() for line in text.splitlines() if not re.search(r"\x1b|^ [⠀-⣿]", line)]
        lines = list(dict.fromkeys(lines))
        if len(lines) > LONGEST:
            lines = [*lines[: LONGEST // 2], "…", *lines[-LONGEST // 2 :]]
        blocks += [f"$ {typed}", *(piece for line in lines for piece in textwrap.wrap(line, 118) or [""])]
    shown = "\n".join(blocks).replace(str(ROOT), "https://git.example.com/lab").replace(str(folder), "~")
    shown = re.sub(r"token=\w+", "token=…", shown)
    shown = re.sub(r"by \S+@\S+ at", "by you@laptop at", shown)
    return f"{HEAD}```text\n{shown}\n```\n"

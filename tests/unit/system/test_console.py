"""Terminal output: colors, progress, and control characters of other programs. On a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devai_tasks.config.project import Project
from devai_tasks.system import console

ESCAPE = "\x1b["
COLOR = f"{ESCAPE}3"
# The address does not exist on any machine (RFC 5737), so doctor prints a failure in red.
DOCTOR = [
    str(Path(sys.executable).with_name("inv")),
    "doctor",
    "--set=network.bind_address=192.0.2.1",
    "--set=tls.proxy=true",
]
# A step without output for some time, and then a line and a result.
STEP = """
import time
from devai_tasks.system import console
with console.step("baking", silent=True):
    time.sleep(1.2)
    console.say("  [a line]")
    console.show("result")
"""


def on_a_terminal(project: Project, argv: Sequence[str] = DOCTOR, **variables: str) -> str:
    """Return the output of a command on a terminal of 100 columns."""
    primary, secondary = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        argv,
        cwd=project.root,
        env=environ | {"TERM": "xterm-256color", "COLUMNS": "100", **variables},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=secondary,
    )
    os.close(secondary)
    output = b""
    while True:
        try:
            part = os.read(primary, 4096)
        except OSError:  # Linux: the secondary side is closed
            break
        if not part:
            break
        output += part
    os.close(primary)
    process.wait()
    return output.decode()


@pytest.mark.usefixtures("clean_environment")
def test_terminal_gets_colors_and_progress(project: Project) -> None:
    output = on_a_terminal(project)
    assert COLOR in output
    assert "checking" in output
    assert "cannot run" in output


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_colors_can_be_disabled(project: Project, variables: dict[str, str]) -> None:
    output = on_a_terminal(project, **variables)
    assert COLOR not in output
    assert "cannot run" in output


@pytest.mark.usefixtures("clean_environment")
def test_pipe_gets_plain_text(project: Project) -> None:
    result = subprocess.run(DOCTOR, cwd=project.root, capture_output=True, text=True, check=False)
    assert ESCAPE not in result.stdout + result.stderr
    assert "checking" not in result.stderr
    assert "cannot run" in result.stdout


def test_error_code_is_dim_on_a_terminal_and_plain_in_a_pipe(project: Project) -> None:
    code = (
        "from devai_tasks.system import console; "
        "console.fail('no :x: [here]\\nlog in', 'DEVAI-K8S-003'); console.fail('none')"
    )
    argv = [sys.executable, "-P", "-c", code]
    plain = "no :x: [here]\nlog in [DEVAI-K8S-003]\nnone\n"
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stderr == plain
    output = on_a_terminal(project, argv)
    assert f"log in{ESCAPE}0m{ESCAPE}2m [DEVAI-K8S-003]{ESCAPE}0m\r\n{ESCAPE}31mnone{ESCAPE}0m\r\n" in output


def test_silent_step_counts_seconds_only_on_a_terminal(project: Project) -> None:
    argv = [sys.executable, "-P", "-c", STEP]
    output = on_a_terminal(project, argv)
    assert "baking \x1b[33m0:00:01" in output
    pattern = r"baking \.\.\.\n  \[a line\]\nresult\nbaking: done in \d s\n"
    assert re.fullmatch(pattern, on_a_terminal(project, argv, TERM="dumb").replace("\r", ""))
    result = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert re.fullmatch(pattern.replace(r"result\n", ""), result.stderr)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345, "12 kB"), (999_999, "1,000 kB"),
        (9_800_000, "9.8 MB"), (98_400_000, "98 MB"), (1_200_000_000, "1.2 GB"), (10**15, "1,000 TB"),
    ],
)  # fmt: skip
def test_size_has_a_suitable_unit(count: int, text: str) -> None:
    assert console.size(count) == text


# Output of other programs, and how it is printed.
FOREIGN_OUTPUT = {
    "tab\tand\nline": "tab\tand\nline",
    "\x1b[31mred\x1b[0m": "red",
    "\x1b[2J\x1b[1;1Hwiped": "wiped",
    "\x1b]0;title\x07shown": "shown",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b]52;c;ZXZpbA==\x07clipboard": "clipboard",
    "\x1bP+q544e\x1b\\queried": "queried",
    "\x1bcreset": "reset",
    "\x1b]0;without an end": "0;without an end",
    "\x1b\x1b[31m[31mtwice": "[31mtwice",
    "\x9b31mred\x9d0;title\x9c": "red",
    "a line\rover it\b\x7f": "a lineover it",
    "gnp.\u202egpj": "gnp.gpj",
    "naïve 日本 🙂 שלום": "naïve 日本 🙂 שלום",
}


@pytest.mark.parametrize("text", FOREIGN_OUTPUT, ids=repr)
def test_control_sequences_of_other_programs_are_removed(text: str) -> None:
    assert console.plain(text) == FOREIGN_OUTPUT[text]


def test_every_function_removes_control_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "evil\x1b]0;owned\x07\x1b[2J\r"
    for write in (console.say, console.head, console.warn, console.fail, console.show):
        write(evil)
    console.table(["column"], [[evil]])
    console.mark("ok", evil)
    console.follow("building", [evil])
    with console.step(evil):
        pass
    output, errors = capsys.readouterr()
    assert (output + errors).count("evil") == 10
    assert "\x1b" not in output + errors
    assert "owned" not in output + errors


def test_markup_in_the_output_of_other_programs_is_printed_as_text(project: Project) -> None:
    names = ["[link=https://evil.example/]model[/link]", "[/x]", "smollm2:[135m]"]
    code = f"""
from devai_tasks.system import console
names = {names!r}
console.table(["model"], [[name] for name in names])
for name in names:
    console.mark("ok", name)
    console.follow(name, [name])
    with console.waiting(name), console.step(name):
        pass
    with console.progress() as bars:
        bars.add_task(name, total=1)
        bars.refresh()
"""
    output = on_a_terminal(project, [sys.executable, "-P", "-c", code])
    assert "\x1b]8;" not in output
    assert "Traceback" not in output
    for name in names:
        assert output.count(name) >= 2


def test_passed_on_output_is_exact_in_a_pipe_and_plain_on_a_terminal(project: Project) -> None:
    code = "from devai_tasks.system import console; console.pass_on('\\x1b[31mred\\r')"
    argv = [sys.executable, "-P", "-c", code]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"\x1b[31mred\r\n"
    assert on_a_terminal(project, argv) == "red\r\n"

"""Colors are for terminals: not for pipes, and not where NO_COLOR says so. On a real pseudo-terminal."""

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
# Where nobody listens: a failure, so that there is something red, on a machine of any kind.
DOCTOR = [
    str(Path(sys.executable).with_name("inv")),
    "doctor",
    "--set=network.bind_address=192.0.2.1",
    "--set=tls.proxy=true",
]
# A step with nothing to say for some time, and then a line and a result.
STEP = """
import time
from devai_tasks.system import console
with console.step("baking", silent=True):
    time.sleep(1.2)
    console.say("  [a line]")
    console.show("result")
"""


def on_a_terminal(project: Project, words: Sequence[str] = DOCTOR, **variables: str) -> str:
    """What a task prints on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        words,
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


@pytest.mark.usefixtures("clean_environment")
def test_a_terminal_gets_colors_and_a_sign_that_it_goes_on(project: Project) -> None:
    printed = on_a_terminal(project)
    assert COLOR in printed
    assert "checking" in printed
    assert "cannot run" in printed


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_who_wants_no_colors_gets_none(project: Project, variables: dict[str, str]) -> None:
    printed = on_a_terminal(project, **variables)
    assert COLOR not in printed
    assert "cannot run" in printed


@pytest.mark.usefixtures("clean_environment")
def test_a_pipe_gets_text_and_nothing_else(project: Project) -> None:
    done = subprocess.run(DOCTOR, cwd=project.root, capture_output=True, text=True, check=False)
    assert ESCAPE not in done.stdout + done.stderr
    assert "looking" not in done.stderr
    assert "cannot run" in done.stdout


def test_error_code_is_dim_on_a_terminal_and_plain_in_a_pipe(project: Project) -> None:
    code = (
        "from devai_tasks.system import console; "
        "console.fail('no :x: [here]\\nlog in', 'DEVAI-K8S-003'); console.fail('none')"
    )
    words = [sys.executable, "-P", "-c", code]
    plain = "no :x: [here]\nlog in [DEVAI-K8S-003]\nnone\n"
    assert subprocess.run(words, capture_output=True, text=True, check=True).stderr == plain
    printed = on_a_terminal(project, words)
    assert f"log in{ESCAPE}0m{ESCAPE}2m [DEVAI-K8S-003]{ESCAPE}0m\r\n{ESCAPE}31mnone{ESCAPE}0m\r\n" in printed


def test_a_silent_step_counts_the_seconds_on_a_terminal_and_nowhere_else(project: Project) -> None:
    words = [sys.executable, "-P", "-c", STEP]
    printed = on_a_terminal(project, words)
    assert "baking \x1b[33m0:00:01" in printed
    said = r"baking \.\.\.\n  \[a line\]\nresult\nbaking: done in \d s\n"
    assert re.fullmatch(said, on_a_terminal(project, words, TERM="dumb").replace("\r", ""))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert re.fullmatch(said.replace(r"result\n", ""), done.stderr)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345, "12 kB"), (999_999, "1,000 kB"),
        (9_800_000, "9.8 MB"), (98_400_000, "98 MB"), (1_200_000_000, "1.2 GB"), (10**15, "1,000 TB"),
    ],
)  # fmt: skip
def test_a_size_has_the_unit_that_fits(count: int, text: str) -> None:
    assert console.size(count) == text


# What others want printed, and what of it is.
FOREIGN = {
    "tab\tand\nline": "tab\tand\nline",
    "\x1b[31mred\x1b[0m": "red",
    "\x1b[2J\x1b[1;1Hwiped": "wiped",
    "\x1b]0;title\x07shown": "shown",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b]52;c;ZXZpbA==\x07clipboard": "clipboard",
    "\x1bP+q544e\x1b\\asked": "asked",
    "\x1bcreset": "reset",
    "\x1b]0;without an end": "0;without an end",
    "\x1b\x1b[31m[31mtwice": "[31mtwice",
    "\x9b31mred\x9d0;title\x9c": "red",
    "a line\rover it\b\x7f": "a lineover it",
    "gnp.\u202egpj": "gnp.gpj",
    "naïve 日本 🙂 שלום": "naïve 日本 🙂 שלום",
}


@pytest.mark.parametrize("foreign", FOREIGN, ids=repr)
def test_a_terminal_gets_nothing_of_others_to_obey(foreign: str) -> None:
    assert console.plain(foreign) == FOREIGN[foreign]


def test_no_way_to_print_leads_around_that(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "evil\x1b]0;owned\x07\x1b[2J\r"
    for say in (console.say, console.head, console.warn, console.fail, console.show):
        say(evil)
    console.table(["column"], [[evil]])
    console.mark("ok", evil)
    console.follow("building", [evil])
    with console.step(evil):
        pass
    output, errors = capsys.readouterr()
    assert (output + errors).count("evil") == 10
    assert "\x1b" not in output + errors
    assert "owned" not in output + errors


def test_markup_in_the_text_of_others_is_text(project: Project) -> None:
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
    printed = on_a_terminal(project, [sys.executable, "-P", "-c", code])
    assert "\x1b]8;" not in printed
    assert "Traceback" not in printed
    for name in names:
        assert printed.count(name) >= 2


def test_what_ones_own_command_prints_is_exact_in_a_pipe_and_plain_on_a_terminal(project: Project) -> None:
    code = "from devai_tasks.system import console; console.pass_on('\\x1b[31mred\\r')"
    words = [sys.executable, "-P", "-c", code]
    assert subprocess.run(words, capture_output=True, check=True).stdout == b"\x1b[31mred\r\n"
    assert on_a_terminal(project, words) == "red\r\n"

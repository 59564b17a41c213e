"""Every task, as Invoke sees it: flags, their help, and what importing them costs."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from devai_tasks.cli.collections import namespace

Run = Callable[..., CompletedProcess[str]]
TASKS = {name: namespace[name] for name in sorted(namespace.task_names)}
OF_NO_STACK = {"new", "trust", "config.init", "config.migrate", "config.schema", "tf.fmt", "tf.record"}
OF_A_STACK = [name for name in TASKS if name not in OF_NO_STACK]
HEAVY = {
    "omegaconf",
    "jinja2",
    "python_on_whales",
    "sh",
    "pydantic",
    "rich",
    "yaml",
    "httpx",
    "ollama",
    "boto3",
    "cyclonedx",
}
NEWLY_LOADED = """
import sys, invoke
already = set(sys.modules)
import devai_tasks.cli.program
print(*{name.partition(".")[0] for name in set(sys.modules) - already})
"""


# Asked of copies and before any test runs, because Invoke takes the help out of a task when it parses.
FLAGS: dict[str, list[Argument]] = {name: copy.deepcopy(task).get_arguments() for name, task in TASKS.items()}


@pytest.mark.parametrize("name", OF_A_STACK)
def test_no_flag_takes_an_empty_text(devai: Run, name: str) -> None:
    """An unset variable in a script would widen what a task does: `down --only=`, `tf.apply --resource=`."""
    for argument in FLAGS[name]:
        if argument.kind not in (str, list) or argument.positional:
            continue
        flag = f"--{str(argument.name).strip('_').replace('_', '-')}"
        result = devai("--dry", name, f"{flag}=")
        assert result.returncode == 2, flag
        assert f"{flag}= is empty; give it a value, or leave the flag out" in result.stderr


def test_the_tasks_are_those_that_the_documentation_names() -> None:
    assert {
        "up",
        "down",
        "new",
        "compose.up",
        "compose.down",
        "image.build",
        "image.push",
        "models.list",
        "config.show",
    } <= set(TASKS)
    assert not [name for name in TASKS if "_" in name]


@pytest.mark.parametrize("name", OF_A_STACK)
def test_a_task_of_a_stack_says_which_stack_and_takes_overrides(name: str) -> None:
    flags = {argument.attr_name or argument.name: argument for argument in FLAGS[name]}
    assert {"env", "cloud", "gpu", "set_"} <= set(flags)
    assert flags["env"].default is flags["cloud"].default is None  # as `defaults` of the configuration says
    assert flags["gpu"].kind is bool
    assert flags["set_"].kind is list


@pytest.mark.parametrize("name", OF_A_STACK)
def test_a_task_has_no_short_flags_and_no_positional_that_could_swallow_a_flag(name: str) -> None:
    assert ParserContext(name, args=FLAGS[name]).missing_positional_args == []
    assert all(len(spelling) > 1 for argument in FLAGS[name] for spelling in argument.names)


@pytest.mark.parametrize("name", TASKS)
def test_every_flag_has_help_and_every_task_a_sentence(name: str) -> None:
    assert all(argument.help for argument in FLAGS[name])
    assert str(TASKS[name].__doc__).strip().endswith(".")


@pytest.mark.parametrize("name", TASKS)
def test_the_help_of_every_flag_says_what_holds_without_it(name: str) -> None:
    positional = TASKS[name].positional
    flags = [argument for argument in FLAGS[name] if (argument.attr_name or argument.name) not in positional]
    assert not [argument.name for argument in flags if not re.search(r"\(default: .+\)", str(argument.help))]


@pytest.mark.parametrize("program", ["inv", "devai"])
def test_help_shows_defaults_and_choices(cli: Callable[..., CompletedProcess[str]], program: str) -> None:
    shown = " ".join(cli(program, "--help", "compose.down").stdout.split())
    assert "shipped: dev, staging, prod)" in shown
    assert "shipped: local, aws, azure, gcp)" in shown
    assert "project and stack, such as lab-local-dev, where there is no terminal to ask (default: ask)" in shown


@pytest.mark.parametrize("name", TASKS)
def test_no_flag_hides_one_of_invokes_own(name: str) -> None:
    own = {"dry", "echo", "hide", "pty", "list", "debug", "config", "help", "version"}
    assert not own & {argument.attr_name or argument.name for argument in FLAGS[name]}


def test_choosing_and_listing_tasks_loads_nothing_heavy() -> None:
    loaded = subprocess.run([sys.executable, "-P", "-c", NEWLY_LOADED], capture_output=True, text=True, check=True)
    assert not HEAVY & set(loaded.stdout.split())

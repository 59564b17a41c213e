"""Tasks as Invoke reads them: flags, their help, and the packages that the import loads."""

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
WITHOUT_STACK = {"new", "trust", "config.init", "config.migrate", "config.schema", "tf.fmt", "tf.record"}
WITH_STACK = [name for name in TASKS if name not in WITHOUT_STACK]
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


# Read from copies before any test runs, because Invoke removes the help from a task when it parses a command line.
FLAGS: dict[str, list[Argument]] = {name: copy.deepcopy(task).get_arguments() for name, task in TASKS.items()}


@pytest.mark.parametrize("name", WITH_STACK)
def test_empty_value_of_a_flag_is_refused(devai: Run, name: str) -> None:
    """An unset variable in a script would make a task change more than intended, as in `tf.apply --resource=`."""
    for argument in FLAGS[name]:
        if argument.kind not in (str, list) or argument.positional:
            continue
        flag = f"--{str(argument.name).strip('_').replace('_', '-')}"
        result = devai("--dry", name, f"{flag}=")
        assert result.returncode == 2, flag
        assert f"{flag}= is empty; give it a value, or leave the flag out" in result.stderr


def test_tasks_of_the_documentation_exist() -> None:
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


@pytest.mark.parametrize("name", WITH_STACK)
def test_task_of_a_stack_has_the_flags_of_a_stack_and_overrides(name: str) -> None:
    flags = {argument.attr_name or argument.name: argument for argument in FLAGS[name]}
    assert {"env", "cloud", "gpu", "set_"} <= set(flags)
    assert flags["env"].default is flags["cloud"].default is None  # `defaults` in the configuration applies
    assert flags["gpu"].kind is bool
    assert flags["set_"].kind is list


@pytest.mark.parametrize("name", WITH_STACK)
def test_task_of_a_stack_has_neither_short_flags_nor_positional_arguments(name: str) -> None:
    assert ParserContext(name, args=FLAGS[name]).missing_positional_args == []
    assert all(len(spelling) > 1 for argument in FLAGS[name] for spelling in argument.names)


@pytest.mark.parametrize("name", TASKS)
def test_every_flag_has_help_and_every_task_a_docstring(name: str) -> None:
    assert all(argument.help for argument in FLAGS[name])
    assert str(TASKS[name].__doc__).strip().endswith(".")


@pytest.mark.parametrize("name", TASKS)
def test_help_of_every_flag_contains_its_default(name: str) -> None:
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
def test_no_flag_shadows_a_core_flag_of_invoke(name: str) -> None:
    core = {"dry", "echo", "hide", "pty", "list", "debug", "config", "help", "version"}
    assert not core & {argument.attr_name or argument.name for argument in FLAGS[name]}


def test_listing_tasks_imports_no_heavy_package() -> None:
    loaded = subprocess.run([sys.executable, "-P", "-c", NEWLY_LOADED], capture_output=True, text=True, check=True)
    assert not HEAVY & set(loaded.stdout.split())

"""Confirmation: tasks that ask before a change, and name the flag for it without a terminal."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        (["compose.up", "--env=prod"], "changed containers are replaced, and their kernels stop"),
        (["compose.restart", "--env=prod"], "its services restart, and kernels stop"),
        (["models.remove", "--name=a", "--name=b", "--env=prod"], "models are removed: a, b"),
    ],
)
def test_protected_stack_needs_its_name_to_stop_kernels_or_remove_models(
    devai: Run, arguments: list[str], effect: str
) -> None:
    result = devai(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"local-prod: {effect}; local-prod is protected\n" in result.stderr
    assert "no terminal to ask; nothing was changed; pass --confirm=devai-local-prod" in result.stderr


def test_removal_of_a_model_needs_an_answer(devai: Run) -> None:
    result = devai("models.remove", "--name=a")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no terminal to ask; nothing was changed; pass --yes [DEVAI-STACK-004]" in result.stderr

"""What asks before it does something, and without a terminal names the flag to give."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "effect"),
    [
        (["compose.up", "--env=prod"], "changed containers are replaced, and their kernels stop"),
        (["compose.restart", "--env=prod"], "its services restart, and kernels stop"),
        (["models.remove", "--name=a", "--name=b", "--env=prod"], "models are removed: a, b"),
    ],
)
def test_kernels_and_models_of_a_protected_stack_go_with_its_name_only(
    devai: Run, words: list[str], effect: str
) -> None:
    result = devai(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"local-prod: {effect}; local-prod is protected\n" in result.stderr
    assert "no terminal to ask; nothing was changed; pass --confirm=devai-local-prod" in result.stderr


def test_a_model_is_removed_after_a_question(devai: Run) -> None:
    result = devai("models.remove", "--name=a")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no terminal to ask; nothing was changed; pass --yes [DEVAI-STACK-004]" in result.stderr

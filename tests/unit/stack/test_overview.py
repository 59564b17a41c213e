"""What `inv plan` says of a stack on this machine, and how."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.stack import overview
from devai_tasks.stack.overview import Overview, PlannedChange
from devai_tasks.targets.compose import deployment as compose

NOBODY = "http://127.0.0.1:9"


def looked_at(project: Project, patch: pytest.MonkeyPatch, *overrides: str) -> Overview:
    """What is found where no container of the stack is there."""
    empty = SimpleNamespace(containers=list, config=lambda: {"services": {}})
    patch.setattr(compose, "compose", lambda *_: empty)
    found = Overview("local-dev")
    overview.of_compose(found, project, load(project, Stack("dev", "local"), overrides, environ={}), Docker())
    return found


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        (("ollama.mode=external", f"ollama.url={NOBODY}"), f"models are not compared: no Ollama answers at {NOBODY}"),
        ((), "models are not compared until the stack's Ollama runs"),
    ],
)
def test_models_that_nobody_can_tell_of_are_a_note_and_no_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], note: str
) -> None:
    found = looked_at(project, monkeypatch, *overrides)
    assert found.changes == []
    assert found.notes[0].startswith(note)


def test_of_a_stack_without_models_none_are_missed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(project, monkeypatch, "models=[]").notes == []


def test_what_stands_in_a_cell_does_not_end_it() -> None:
    found = Overview(
        "local-dev", [PlannedChange("compose", "replaced", "a|b", "of\nlines")], keys={"env.A": ("x|y", "z")}
    )
    rows = [line for line in found.markdown().splitlines() if "\\|" in line]
    assert rows == ["| compose | replaced | `a\\|b` | of lines |", "| `env.A` | x\\|y | z |"]

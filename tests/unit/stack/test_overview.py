"""Overview of `inv plan` for a stack on this machine, and its output as Markdown."""

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

UNREACHABLE = "http://127.0.0.1:9"


def overview_of(project: Project, patch: pytest.MonkeyPatch, *overrides: str) -> Overview:
    """Return the overview of a stack without containers."""
    empty = SimpleNamespace(containers=list, config=lambda: {"services": {}})
    patch.setattr(compose, "compose", lambda *_: empty)
    result = Overview("local-dev")
    overview.of_compose(result, project, load(project, Stack("dev", "local"), overrides, environ={}), Docker())
    return result


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        (
            ("ollama.mode=external", f"ollama.url={UNREACHABLE}"),
            f"models are not compared: no Ollama answers at {UNREACHABLE}",
        ),
        ((), "models are not compared until the stack's Ollama runs"),
    ],
)
def test_unreachable_ollama_is_a_note_and_no_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], note: str
) -> None:
    result = overview_of(project, monkeypatch, *overrides)
    assert result.changes == []
    assert result.notes[0].startswith(note)


def test_stack_without_models_has_no_note_on_models(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert overview_of(project, monkeypatch, "models=[]").notes == []


def test_markdown_cells_are_escaped() -> None:
    result = Overview(
        "local-dev", [PlannedChange("compose", "replaced", "a|b", "of\nlines")], keys={"env.A": ("x|y", "z")}
    )
    rows = [line for line in result.markdown().splitlines() if "\\|" in line]
    assert rows == ["| compose | replaced | `a\\|b` | of lines |", "| `env.A` | x\\|y | z |"]

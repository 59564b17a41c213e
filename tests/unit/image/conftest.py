"""Fixtures for tests of the programs in the image."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create a home with a folder `work` that counts as mounted, and a folder outside the home; return the home."""
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    (home / "work/tasks.py").write_text("the user's")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept.txt").write_text("outside")
    return home

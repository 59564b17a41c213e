"""What the tests of the image's programs share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home, with a folder `work` that counts as mounted, and something beside it that is not the home's."""
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    (home / "work/tasks.py").write_text("the user's")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept.txt").write_text("outside")
    return home

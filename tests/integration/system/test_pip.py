"""Installation of packages by the real pip or uv."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.system import pip
from devai_tasks.system.errors import ToolError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")


def test_installed_package_needs_no_network() -> None:
    pip.install(["invoke"])
    with pytest.raises(ToolError, match=r"^(uv )?pip install no-such-package-of-ours failed \(exit code 1\):\s"):
        pip.install(["no-such-package-of-ours"])


def test_package_that_cannot_be_unpacked_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^pip install no-such-package-of-ours failed \(exit code 1\):\s"):
        pip.unpack("no-such-package-of-ours", tmp_path)


def test_missing_pip_is_reported_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake is an interpreter without pip, with the same error message."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(pip, "_PIP", (str(python), "-P", "-m", "pip"))
    with pytest.raises(ToolError) as failure:
        pip.unpack("llm", tmp_path)
    assert failure.value.hint == "`pip install devai-tasks[offline]` installs pip"

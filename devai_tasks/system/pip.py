"""pip: installs Python packages, or unpacks the files of a package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from devai_tasks.system import process

# With -P, the current folder is not on sys.path: a module there could shadow one of pip's.
_PIP = (sys.executable, "-P", "-m", "pip")


def unpack(package: str, folder: Path) -> None:
    """Unpack a package into a folder, without its dependencies. Nothing is installed or run.

    Raises ToolError if pip can't download the package.
    """
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", f"--target={folder}"]
    result = process.run([*_PIP, "install", *options, package])
    hint = "`pip install devai-tasks[offline]` installs pip" if "No module named pip" in result.stderr else ""
    result.check(f"pip install {package}", hint=hint)


def install(requirements: Sequence[str]) -> None:
    """Install packages into the current Python environment, with uv if it is installed, else with pip.

    Raises ToolError if the installation fails.
    """
    uv = process.which("uv")
    install = [uv, "pip", "install", f"--python={sys.executable}"] if uv else [*_PIP, "install"]
    command = f"{'uv pip' if uv else 'pip'} install {' '.join(requirements)}"
    process.run([*install, "--quiet", *requirements]).check(command)

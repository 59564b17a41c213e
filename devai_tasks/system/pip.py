"""pip: installs Python packages, or unpacks the files of one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from devai_tasks.system import process

# Without the folder that it runs in on its path: a module there could stand for one of pip's.
_PIP = (sys.executable, "-P", "-m", "pip")


def unpack(package: str, folder: Path) -> None:
    """Unpack a package into a folder, without what it depends on; nothing of it is installed or run.

    Raises ToolError where pip can't get the package.
    """
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", f"--target={folder}"]
    result = process.run([*_PIP, "install", *options, package])
    hint = "`pip install devai-tasks[offline]` brings pip" if "No module named pip" in result.stderr else ""
    result.check(f"pip install {package}", hint=hint)


def install(requirements: Sequence[str]) -> None:
    """Install packages into the environment that this runs in, by uv where there is one, else by pip.

    Raises ToolError where either can't install one.
    """
    uv = process.which("uv")
    install = [uv, "pip", "install", f"--python={sys.executable}"] if uv else [*_PIP, "install"]
    command = f"{'uv pip' if uv else 'pip'} install {' '.join(requirements)}"
    process.run([*install, "--quiet", *requirements]).check(command)

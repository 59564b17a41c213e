"""Go: builds programs from published modules."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from devai_tasks.system import process


def install(module: str, folder: Path) -> None:
    """Build a program from a module (`path@version`) into a folder, which is created only if the build succeeds.

    Raises MissingToolError if Go is missing, ToolError if the build fails.
    """
    go = process.require("go", "see https://go.dev/doc/install")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        options = process.Options(env={**os.environ, "GOBIN": str(scratch)})
        argv = [go, "install", "-trimpath", "-ldflags=-s -w", module]
        process.run(argv, options=options).check(f"go install {module}")
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

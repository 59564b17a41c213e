"""Go: builds programs from their published modules."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from devai_tasks.system import process


def install(module: str, folder: Path) -> None:
    """Build a program from a module (`path@version`) into a folder, which appears when it is complete.

    Raises MissingToolError without Go, ToolError where the build fails.
    """
    go = process.require("go", "https://go.dev/doc/install says how")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        options = process.Options(env={**os.environ, "GOBIN": str(scratch)})
        argv = [go, "install", "-trimpath", "-ldflags=-s -w", module]
        process.run(argv, options=options).check(f"go install {module}")
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

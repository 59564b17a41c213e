"""Go: builds programs from their published modules."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import sh

from devai_tasks.system.errors import MissingToolError, ToolError


def install(module: str, folder: Path) -> None:
    """Build a program from a module (`path@version`) into a folder, which appears when it is complete.

    Raises MissingToolError without Go, ToolError with its last words.
    """
    go = shutil.which("go")
    if not go:
        raise MissingToolError("go is not installed; https://go.dev/doc/install says how")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        sh.Command(go)(
            "install", "-trimpath", "-ldflags=-s -w", module,
            _env={**os.environ, "GOBIN": str(scratch)}, _truncate_exc=False, _tty_out=False,
        )  # fmt: skip
        scratch.replace(folder)
    except sh.ErrorReturnCode as error:
        raise ToolError(f"go install {module} failed:\n{error.stderr.decode(errors='replace').strip()}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

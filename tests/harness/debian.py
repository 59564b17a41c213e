"""Programs from Debian packages, downloaded by apt and unpacked into a cache.

Unpacking needs no root and installs nothing; the machine's package sources stay unchanged. The cache outlives the test
run, so that only the first run uses the mirror. Packages that work only in their installed location are installed, as
root.
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
# Programs of this release run on this release, the previous one and later ones.
RELEASE = "trixie"


def unpacked(*packages: str) -> Path:
    """Return a folder with the files of the packages."""
    folder = CACHE / f"{RELEASE}-{'-'.join(packages)}"
    if not folder.exists():
        if not shutil.which("apt-get"):
            skip_or_fail(f"{', '.join(packages)}: apt-get is not installed, cannot download packages")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            _fetch(Path(work), packages)
            (Path(work) / "files").rename(folder)
    return folder


def install(*packages: str) -> None:
    """Install packages of the machine's own release."""
    if not shutil.which("apt-get"):
        skip_or_fail(f"{', '.join(packages)}: apt-get is not installed, cannot install packages")
    if subprocess.run(["dpkg", "--status", *packages], capture_output=True, check=False).returncode:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *arguments], env=environ, capture_output=True, check=True)


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
    """Return options that make apt use RELEASE of Debian only, also on distributions derived from Debian."""
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    (work / "sources.list").write_text(f"deb {signed} {mirror} {RELEASE} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists", "Dir::Cache": work / "cache",
        "Acquire::Languages": "none", "APT::Sandbox::User": "root",
    }  # fmt: skip
    return [f"--option={name}={value}" for name, value in options.items()]


def _run(command: Sequence[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        skip_or_fail(f"{command[0]}: {result.stderr.strip()}")
    return result.stdout.strip()

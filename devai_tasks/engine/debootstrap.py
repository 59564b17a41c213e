"""debootstrap: creates a minimal Debian root file system from Debian's archive."""

from __future__ import annotations

import os
from pathlib import Path

from devai_tasks.system import console, process
from devai_tasks.system.errors import DevaiError, MissingToolError

# Folders that an image does not need, as in Debian's slim images. Packages installed later exclude them, too.
_UNWANTED = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man")


def present() -> bool:
    """Whether debootstrap is installed. Debian installs it in /usr/sbin, which is only in root's PATH."""
    return bool(process.which("debootstrap")) or Path("/usr/sbin/debootstrap").exists()


def build(suite: str, archive: Path, *, dry: bool = False) -> None:
    """Write the root file system of a Debian suite (such as trixie) to a tar archive.

    Raises MissingToolError if debootstrap is missing, DevaiError without root privileges, ToolError if a step fails.
    """
    root = archive.with_suffix("")
    if dry:
        return console.say(f"debootstrap --force-check-gpg --variant=minbase {suite} {root}")
    if not present():
        raise MissingToolError(
            "debootstrap is not installed", hint="`sudo apt-get install debootstrap`", code="DEVAI-IMAGE-002"
        )
    if os.geteuid() != 0 and not process.which("sudo"):
        raise DevaiError("debootstrap needs root, and sudo is not installed", hint="run the task as root once")
    _as_root("true")  # sudo asks for a password here, before the progress display starts
    try:
        with console.waiting(f"debootstrap {suite}"):
            _as_root("debootstrap", "--force-check-gpg", "--variant=minbase", suite, str(root))
            excludes = root / "etc/dpkg/dpkg.cfg.d/slim"
            _as_root("sh", "-c", f"printf 'path-exclude=/%s/*\\n' {' '.join(_UNWANTED)} > {excludes}")
            caches = [*_UNWANTED, "var/cache/apt/archives", "var/lib/apt/lists"]
            excluded = [f"--exclude=./{path}/*" for path in caches]
            _as_root("tar", "-C", str(root), *excluded, "-cf", str(archive), ".")
    finally:
        _as_root("rm", "-rf", "--one-file-system", str(root))


def _as_root(program: str, *arguments: str) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    process.run([*sudo, program, *arguments]).check(" ".join([*sudo, program]))

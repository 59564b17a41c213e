"""debootstrap: a minimal Debian from Debian's own archive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import sh

from devai_tasks import console
from devai_tasks.system.errors import DevaiError, MissingToolError, ToolError

# What an image has no use for, as in Debian's own slim images; packages installed later leave it out too.
_UNWANTED = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man")


def build(suite: str, archive: Path, *, dry: bool = False) -> None:
    """Write the root file system of a Debian suite (such as trixie) to a tar archive.

    Raises MissingToolError without the program, DevaiError without the rights, ToolError with debootstrap's last words.
    """
    root = archive.with_suffix("")
    if dry:
        return console.say(f"debootstrap --force-check-gpg --variant=minbase {suite} {root}")
    if not shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin"):
        raise MissingToolError("debootstrap is not installed; `sudo apt-get install debootstrap`")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise DevaiError("debootstrap needs root, and there is no sudo; run the task as root once")
    try:
        _as_root("true")  # asks for a password while nothing is drawn
        with console.waiting(f"debootstrap {suite}"):
            _as_root("debootstrap", "--force-check-gpg", "--variant=minbase", suite, str(root))
            excludes = root / "etc/dpkg/dpkg.cfg.d/slim"
            _as_root("sh", "-c", f"printf 'path-exclude=/%s/*\\n' {' '.join(_UNWANTED)} > {excludes}")
            leftovers = [*_UNWANTED, "var/cache/apt/archives", "var/lib/apt/lists"]
            excluded = [f"--exclude=./{path}/*" for path in leftovers]
            _as_root("tar", "-C", str(root), *excluded, "-cf", str(archive), ".")
    except sh.ErrorReturnCode as error:
        raise ToolError(f"debootstrap failed:\n{_last_words(error)}") from error
    finally:
        _as_root("rm", "-rf", "--one-file-system", str(root))


def _as_root(program: str, *arguments: str) -> None:
    words = [program, *arguments] if os.geteuid() == 0 else ["sudo", program, *arguments]
    sh.Command(words[0])(*words[1:], _truncate_exc=False, _tty_out=False)


def _last_words(error: sh.ErrorReturnCode) -> str:
    return "\n".join((error.stderr or error.stdout).decode(errors="replace").strip().splitlines()[-5:])

"""git: which commit the project's files are of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.system import console, process
from devai_tasks.system.errors import ToolError

SHORT = 12  # as long everywhere: git's own choice differs from clone to clone


@dataclass(frozen=True)
class Revision:
    """A commit, and whether the files are still those of it."""

    commit: str
    dirty: bool
    time: str
    """When it was made, in RFC 3339."""
    source: str
    """Where the repository comes from, without credentials; empty where it comes from nowhere."""

    def __str__(self) -> str:
        return f"{self.commit[:SHORT]}{'-dirty' if self.dirty else ''}"


def revision(folder: Path) -> Revision | None:
    """Return the revision of a folder's files; None without git, without a repository, and before the first commit.

    Ignored files don't make it dirty, new ones do: they may be part of what is built.
    """
    git = process.which("git")
    if not git:
        return None

    def ask(*arguments: str, accepted: Sequence[int] = (0,)) -> str:
        result = process.run([git, "-C", str(folder), *arguments])
        return result.check(f"git {arguments[0]}", accepted=accepted).stdout

    try:
        commit, time = ask("log", "-1", "--no-show-signature", "--format=%H %cI").split()
        # A repository below it may be a notebook's, and git would obey that one's settings to look into it.
        dirty = bool(ask("status", "--porcelain", "--ignore-submodules=dirty", "--", ".").strip())
        source = ask("config", "--get", "remote.origin.url", accepted=(0, 1)).strip()
    except ToolError as error:
        reason = error.stderr.partition("\n")[0]
        if not re.search(r"not a git repository|does not have any commits", reason):
            console.warn(f"git can't say which commit this is, so tags are the version alone: {reason}")
        return None
    return Revision(commit, dirty, time, re.sub(r"(?<=://)[^/]*@", "", source))

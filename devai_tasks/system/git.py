"""git: revision of the project's files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.system import console, process
from devai_tasks.system.errors import ToolError

SHORT = 12  # fixed, because git's default length differs between clones


@dataclass(frozen=True)
class Revision:
    """A commit, and whether files differ from it."""

    commit: str
    dirty: bool
    time: str
    """Commit time in RFC 3339 format."""
    source: str
    """URL of the remote repository, without credentials; empty for none."""

    def __str__(self) -> str:
        return f"{self.commit[:SHORT]}{'-dirty' if self.dirty else ''}"


def revision(folder: Path) -> Revision | None:
    """Return the revision of a folder's files; None without git, without a repository, or before the first commit.

    Untracked files make the revision dirty, because they may be part of a build. Ignored files don't.
    """
    git = process.which("git")
    if not git:
        return None

    def query(*arguments: str, accepted: Sequence[int] = (0,)) -> str:
        result = process.run([git, "-C", str(folder), *arguments])
        return result.check(f"git {arguments[0]}", accepted=accepted).stdout

    try:
        commit, time = query("log", "-1", "--no-show-signature", "--format=%H %cI").split()
        # A nested repository may come from a notebook, and git would use its settings to inspect it.
        dirty = bool(query("status", "--porcelain", "--ignore-submodules=dirty", "--", ".").strip())
        source = query("config", "--get", "remote.origin.url", accepted=(0, 1)).strip()
    except ToolError as error:
        reason = error.stderr.partition("\n")[0]
        if not re.search(r"not a git repository|does not have any commits", reason):
            console.warn(f"git failed to report the commit, so image tags contain only the version: {reason}")
        return None
    return Revision(commit, dirty, time, re.sub(r"(?<=://)[^/]*@", "", source))

"""Where things are kept that outlive a checkout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """The project's folder in the person's cache; whatever is in it can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devai-tasks"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Be the only process in a folder; others that want to be wait. The kernel frees it when a process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

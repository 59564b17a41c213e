"""Stands in for a program under `--dry`: notes the command that it was called as, and does nothing.

Called as `recorder FILE PROGRAM ARGUMENT…`. Python-on-whales composes and runs its commands in one go; calling this in
place of `docker` shows exactly what would have run.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

if __name__ == "__main__":
    with Path(sys.argv[1]).open("a", encoding="utf-8") as log:
        print(shlex.join(sys.argv[2:]), file=log)

"""Replacement of a program under `--dry`: writes its command line to a file and does nothing.

Called as `recorder FILE PROGRAM ARGUMENT…`. Python-on-whales composes and runs its commands in one step; calling this
module in place of `docker` records exactly the commands that would have run.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

if __name__ == "__main__":
    with Path(sys.argv[1]).open("a", encoding="utf-8") as log:
        print(shlex.join(sys.argv[2:]), file=log)

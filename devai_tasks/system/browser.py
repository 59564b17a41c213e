"""Opens pages in the user's browser, without secrets in its arguments, which every user of this machine can read."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path

from devai_tasks.system import process

# Time for the slowest browser to start and read the page.
_SECONDS = 60
# A meta refresh needs no scripts and sends no referrer.
_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>Dev AI Lab</title>
<a href="{address}">Open the lab</a>
"""
# In the background, to outlive this process; without this process's pipes, so that the shell exits at once.
_REMOVE = '(sleep "$1"; rm -f -- "$2") </dev/null >/dev/null 2>&1 &'


def open_page(address: str, folder: Path) -> None:
    """Open an address through a redirect page in a folder that only the user can read; delete it a minute later."""
    descriptor, name = tempfile.mkstemp(prefix="open-", suffix=".html", dir=folder)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as page:
        page.write(_PAGE.format(address=html.escape(address)))
    webbrowser.open(Path(name).absolute().as_uri())
    remove = ["/bin/sh", "-c", _REMOVE, "sh", str(_SECONDS), name]
    process.run(remove, options=process.Options(own_session=True)).check()

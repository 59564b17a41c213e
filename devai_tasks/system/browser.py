"""The user's browser, which gets no secret by its arguments: any user of this machine can read those of a process."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path

from devai_tasks.system import process

# By then the slowest browser has started and read the page.
_SECONDS = 60
# As a meta refresh, for which a browser needs no scripts and sends no referrer.
_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>Dev AI Lab</title>
<a href="{address}">Open the lab</a>
"""
# In the background, so that it outlives this process; without its pipes, so that the shell ends at once.
_REMOVE = '(sleep "$1"; rm -f -- "$2") </dev/null >/dev/null 2>&1 &'


def open_page(address: str, folder: Path) -> None:
    """Open an address through a page in a folder that only the user can read; the page is removed a minute later."""
    descriptor, name = tempfile.mkstemp(prefix="open-", suffix=".html", dir=folder)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as page:
        page.write(_PAGE.format(address=html.escape(address)))
    webbrowser.open(Path(name).absolute().as_uri())
    remove = ["/bin/sh", "-c", _REMOVE, "sh", str(_SECONDS), name]
    process.run(remove, options=process.Options(own_session=True)).check()

"""The user's browser, which is told nothing secret: anyone on this machine may read a process's arguments."""

from __future__ import annotations

import html
import os
import subprocess
import tempfile
import webbrowser
from pathlib import Path

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


def open_page(address: str, folder: Path) -> None:
    """Open an address through a page in a folder that only the user can read; the page is removed a minute later."""
    descriptor, name = tempfile.mkstemp(prefix="open-", suffix=".html", dir=folder)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as page:
        page.write(_PAGE.format(address=html.escape(address)))
    webbrowser.open(Path(name).absolute().as_uri())
    nowhere = subprocess.DEVNULL
    remove = ["/bin/sh", "-c", 'sleep "$1"; rm -f -- "$2"', "sh", str(_SECONDS), name]
    subprocess.Popen(remove, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)  # noqa: S603 - ours

"""A headless browser: the installed Chromium or Chrome, or Debian's Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness import debian
from harness.prerequisites import skip_or_fail

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def page() -> Iterator[Page]:
    """Open an empty page in a browser with a new profile."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail("playwright is not installed; `nox -s smoke` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_program(),
            # Chromium's sandbox cannot create namespaces in a container, and does not support root.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
        )
        try:
            yield browser.new_page(viewport={"width": 1180, "height": 640})
        finally:
            browser.close()


def _program() -> str:
    if not any(map(shutil.which, PROGRAMS)) and os.geteuid() == 0:
        debian.install("chromium")
    installed = [path for path in map(shutil.which, PROGRAMS) if path]
    return installed[0] if installed else skip_or_fail("no Chromium is installed")

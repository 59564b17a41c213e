"""A browser without a screen: Debian's Chromium, or the one that is here."""

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
    """An empty page, of a browser that knows nothing yet."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail("playwright is not installed; `nox -s smoke` has it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_program(),
            # In a container of its own the browser's sandbox has no rights to make another, and root none to use it.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
        )
        try:
            yield browser.new_page(viewport={"width": 1180, "height": 640})
        finally:
            browser.close()


def _program() -> str:
    if not any(map(shutil.which, PROGRAMS)) and os.geteuid() == 0:
        debian.install("chromium")
    found = [path for path in map(shutil.which, PROGRAMS) if path]
    return found[0] if found else skip_or_fail("no Chromium is installed")

"""Temporary page that redirects the browser to the lab."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from devai_tasks.system import browser

ADDRESS = "http://127.0.0.1:8888/lab?token=a&b"


def test_page_is_private_and_removed_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[tuple[int, str]] = []

    def open_(uri: str) -> None:
        page = Path(uri.removeprefix("file://"))
        pages.append((page.stat().st_mode & 0o777, page.read_text(encoding="utf-8")))

    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setattr(browser, "_SECONDS", 1)
    browser.open_page(ADDRESS, tmp_path)
    ((mode, text),) = pages
    assert mode == 0o600
    assert "url=http://127.0.0.1:8888/lab?token=a&amp;b" in text
    assert list(tmp_path.iterdir())
    deadline = time.monotonic() + 20
    while list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)

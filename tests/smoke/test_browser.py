"""The lab in a real browser: log in with the page that `inv open` opens, and run a cell that asks the model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness import browser
from harness.stack import ComposeStack

ASK = (
    "import ollama\n\n"
    "question = 'What is the capital of France? Answer with one word.'\n"
    "answer = ollama.chat(\n"
    "    model={model!r},\n"
    "    messages=[{{'role': 'user', 'content': question}}],\n"
    "    options={{'temperature': 0, 'num_predict': 7}},\n"
    ")\n"
    "print(answer.message.content)"
)
NAME = "ask-the-model.ipynb"
MILLISECONDS = 120_000


def opened(stack: ComposeStack, folder: Path) -> str:
    """Return the address that `inv open` passes to a browser; the browser is a script that records its argument."""
    program, log = folder / "browser", folder / "called"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" >{log}\n', encoding="utf-8")
    program.chmod(0o755)
    result = stack.inv("open", environ={"BROWSER": f"{program} %s"})
    assert result.returncode == 0, result.stderr
    address = log.read_text(encoding="utf-8")
    assert address.startswith("file:///")
    assert stack.jupyter.token not in address
    return address


def test_opened_page_logs_in_and_a_cell_gets_an_answer_from_the_model(stack: ComposeStack, tmp_path: Path) -> None:
    """`DEVAI_SCREENSHOT=docs/lab.png` saves a screenshot of the result."""
    cell: dict[str, Any] = {"cell_type": "code", "id": "ask", "metadata": {}, "outputs": [], "execution_count": None}
    content = {
        "cells": [{**cell, "source": ASK.format(model=stack.settings.models[0])}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    stack.jupyter.call("PUT", f"api/contents/work/{NAME}", {"type": "notebook", "content": content})
    try:
        with browser.page() as page:
            page.goto(f"{stack.jupyter.base}lab", timeout=MILLISECONDS)
            assert "/login" in page.url  # without a token

            page.goto(opened(stack, tmp_path), timeout=MILLISECONDS)
            page.wait_for_selector("#jp-top-panel", timeout=MILLISECONDS)
            assert "/login" not in page.url
            assert {cookie["sameSite"] for cookie in page.context.cookies()} == {"Lax"}
            page.goto(f"{stack.jupyter.base}lab/tree/work/{NAME}", timeout=MILLISECONDS)  # the cookie is sufficient now
            page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=MILLISECONDS)
            # While the page still loads, it may open a dialog or take the focus from the cell: retry until the cell
            # has run.
            dialog = page.locator("dialog.jp-Dialog")
            prompt = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
            for _ in range(10):
                if dialog.count():
                    dialog.first.locator(".jp-mod-accept").click()
                page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
                page.keyboard.press("Control+Enter")
                page.wait_for_timeout(3000)
                if "[ ]" not in prompt.inner_text():
                    break
            answer = page.locator(".jp-Notebook .jp-OutputArea-output").filter(has_text="Paris")
            answer.first.wait_for(timeout=MILLISECONDS)
            if file := os.environ.get("DEVAI_SCREENSHOT"):
                page.screenshot(path=Path(file))
    finally:
        stack.jupyter.call("DELETE", f"api/contents/work/{NAME}")

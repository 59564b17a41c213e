"""What a person does: opens the printed address, runs a cell that asks the model, and reads the answer."""

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
    """What `inv open` gives a browser, which here is a script that keeps it."""
    program, called = folder / "browser", folder / "called"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" >{called}\n', encoding="utf-8")
    program.chmod(0o755)
    ran = stack.inv("open", environ={"BROWSER": f"{program} %s"})
    assert ran.returncode == 0, ran.stderr
    address = called.read_text(encoding="utf-8")
    assert address.startswith("file:///")
    assert stack.jupyter.token not in address
    return address


def test_a_person_logs_in_by_what_open_opens_and_gets_an_answer_from_the_model(
    stack: ComposeStack, tmp_path: Path
) -> None:
    """`DEVAI_SCREENSHOT=docs/lab.png` keeps what it looks like."""
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
            assert "/login" in page.url  # whoever has no token

            page.goto(opened(stack, tmp_path), timeout=MILLISECONDS)
            page.wait_for_selector("#jp-top-panel", timeout=MILLISECONDS)
            assert "/login" not in page.url
            assert {cookie["sameSite"] for cookie in page.context.cookies()} == {"Lax"}
            page.goto(f"{stack.jupyter.base}lab/tree/work/{NAME}", timeout=MILLISECONDS)  # now by its cookie
            page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=MILLISECONDS)
            # A page that still settles may ask something, or take the keys away from the cell: a person would look, and
            # try again.
            asked = page.locator("dialog.jp-Dialog")
            prompt = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
            for _ in range(10):
                if asked.count():
                    asked.first.locator(".jp-mod-accept").click()
                page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
                page.keyboard.press("Control+Enter")
                page.wait_for_timeout(3000)
                if "[ ]" not in prompt.inner_text():
                    break
            answer = page.locator(".jp-Notebook .jp-OutputArea-output").filter(has_text="Paris")
            answer.first.wait_for(timeout=MILLISECONDS)
            if kept := os.environ.get("DEVAI_SCREENSHOT"):
                page.screenshot(path=Path(kept))
    finally:
        stack.jupyter.call("DELETE", f"api/contents/work/{NAME}")

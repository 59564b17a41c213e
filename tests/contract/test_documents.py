"""The commands in README and docs/ that need neither engine nor cloud do what the documents say that they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.documents import REFUSED, blocks, documents, first_mismatch

from devai_tasks.config.project import Project

RUN = [document for document in documents() if any(block.is_runnable for block in blocks(document))]


@pytest.mark.parametrize("document", RUN)
@pytest.mark.usefixtures("clean_environment")
def test_documented_commands_print_documented_output(project: Project, document: str) -> None:
    """In a new project, as somebody who follows it line by line."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in (block for block in blocks(document) if block.is_runnable):
        for command in block.commands:
            done = subprocess.run(
                ["bash", "-c", command.line],
                cwd=project.root,
                env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},  # so that both streams keep their order
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            wanted = 2 if REFUSED in block.marks else 0
            assert done.returncode == wanted, f"{block.location}: {command.line}\n{done.stdout}"
            missed = first_mismatch(command.output, done.stdout)
            assert missed is None, f"{block.location}: {command.line} does not print {missed!r}\n{done.stdout}"

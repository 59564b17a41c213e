"""The commands in README and docs/ that need neither engine nor cloud behave as documented."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.documents import REFUSED, blocks, documents, first_mismatch

from devai_tasks.config.project import Project

RUNNABLE = [document for document in documents() if any(block.is_runnable for block in blocks(document))]


@pytest.mark.parametrize("document", RUNNABLE)
@pytest.mark.usefixtures("clean_environment")
def test_documented_commands_print_documented_output(project: Project, document: str) -> None:
    """Run the commands of a document in order, in a new project."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in (block for block in blocks(document) if block.is_runnable):
        for command in block.commands:
            result = subprocess.run(
                ["bash", "-c", command.line],
                cwd=project.root,
                env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},  # to keep the order of both streams
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            expected = 2 if REFUSED in block.marks else 0
            assert result.returncode == expected, f"{block.location}: {command.line}\n{result.stdout}"
            mismatch = first_mismatch(command.output, result.stdout)
            assert mismatch is None, f"{block.location}: {command.line} does not print {mismatch!r}\n{result.stdout}"

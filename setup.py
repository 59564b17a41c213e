"""Packs what `devai new` writes; everything else about the package is in setup.cfg."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from devai_tasks.workspace import scaffold  # noqa: E402 - needs the path above, and nothing that isn't installed yet


class BuildWithProject(build_py):
    """Adds the project's files to the package; an editable install uses the repository itself."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            scaffold.copy(ROOT, Path(self.build_lib) / scaffold.PACKED)


setup(cmdclass={"build_py": BuildWithProject})

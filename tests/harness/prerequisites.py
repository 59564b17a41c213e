"""What a machine lacks: a gap for one person, a failure where everything has to run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """End a test that this machine can't run: skipped, and where CI=true failed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

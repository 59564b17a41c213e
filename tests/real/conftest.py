"""Terraform with the real providers, without credentials and requests to a cloud."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ignore the user's settings for Terraform."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)

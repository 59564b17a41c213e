"""Terraform with the providers themselves; no credentials, nothing is asked of a cloud."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform as it comes, without one person's settings."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)

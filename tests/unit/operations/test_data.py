"""What a lab can be given back; tests/smoke and tests/cluster do it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.errors import UsageError
from devai_tasks.operations import data

MIB = 2**20


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One of 40 MiB, which take no room."""
    file = tmp_path / "home.tar.gz"
    file.touch()
    os.truncate(file, 40 * MIB)
    return file


def test_cloud_run_is_given_no_more_than_it_takes_in_one_request(shipped: Project, archive: Path) -> None:
    settings = load(shipped, Stack("dev", "gcp"), ["compute.platform=simple"], environ={})
    with pytest.raises(UsageError, match=r"has 40 MiB.*32 MiB at once.*gcloud storage rsync .* gs://devaidev"):
        data.check(settings, archive)
    os.truncate(archive, 32 * MIB)
    data.check(settings, archive)


@pytest.mark.parametrize(("cloud", "platform"), [("gcp", "kubernetes"), ("aws", "simple"), ("local", "kubernetes")])
def test_others_take_homes_of_any_size(shipped: Project, archive: Path, cloud: str, platform: str) -> None:
    data.check(load(shipped, Stack("dev", cloud), [f"compute.platform={platform}"], environ={}), archive)

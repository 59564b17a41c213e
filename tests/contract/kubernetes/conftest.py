"""Fixtures with the manifests of every stack variant, built once for all tests."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.manifests import Manifests, Variant, base_variants, build, option_variants
from harness.project import fresh

from devai_tasks.config.project import Project

VARIANTS = [*base_variants(), *option_variants()]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in a folder whose name contains shell metacharacters."""
    return fresh(tmp_path_factory.mktemp("my labs") / "it's $one")


@pytest.fixture(scope="session")
def stacks(lab: Project) -> dict[Variant, Manifests]:
    """The manifests of every variant."""
    with ThreadPoolExecutor(4) as pool:  # kubectl runs in separate processes
        built = dict(zip(VARIANTS, pool.map(lambda variant: build(lab, variant), VARIANTS), strict=True))
    # `nox -s validate` passes these files to scanners.
    if folder := os.environ.get("DEVAI_MANIFESTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for variant, manifests in built.items():
            (Path(folder) / f"{variant}.yaml").write_text(manifests.text, encoding="utf-8")
    return built


@pytest.fixture(params=VARIANTS, ids=str)
def stack(request: pytest.FixtureRequest, stacks: dict[Variant, Manifests]) -> Manifests:
    """The manifests of one variant; tests run once for each variant."""
    return stacks[request.param]

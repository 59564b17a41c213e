"""The manifests of every kind of stack, built once for all that is asked of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.manifests import Manifests, Variant, base_variants, build, option_variants
from harness.project import fresh

from devai_tasks.config.project import Project

EVERY = [*base_variants(), *option_variants()]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project, in a folder whose name is not made for shells."""
    return fresh(tmp_path_factory.mktemp("my labs") / "it's $one")


@pytest.fixture(scope="session")
def stacks(lab: Project) -> dict[Variant, Manifests]:
    """Every kind of stack."""
    with ThreadPoolExecutor(4) as pool:  # kubectl has processes of its own
        built = dict(zip(EVERY, pool.map(lambda kind: build(lab, kind), EVERY), strict=True))
    # For those who judge them next, as `nox -s validate` does.
    if folder := os.environ.get("DEVAI_MANIFESTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for kind, manifests in built.items():
            (Path(folder) / f"{kind}.yaml").write_text(manifests.text, encoding="utf-8")
    return built


@pytest.fixture(params=EVERY, ids=str)
def stack(request: pytest.FixtureRequest, stacks: dict[Variant, Manifests]) -> Manifests:
    """Each kind of stack in turn."""
    return stacks[request.param]

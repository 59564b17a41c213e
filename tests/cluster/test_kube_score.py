"""kube-score, which nobody here wrote, on the manifests of every stack; it is built as the test cluster is."""

from __future__ import annotations

import subprocess

import pytest
from harness.kubernetes.releases import KUBE_SCORE
from harness.manifests import base_variants, build, option_variants
from harness.project import fresh

from devai_tasks.config.project import Project


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project."""
    return fresh(tmp_path_factory.mktemp("score") / "lab")


def score(text: str) -> list[str]:
    """Everything that is said about manifests, a line for each check of each object."""
    program = KUBE_SCORE.programs() / "kube-score"
    done = subprocess.run(
        [program, "score", "--output-format=ci", "-"], input=text, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert any(line.startswith("[OK]") for line in lines), done.stderr
    return lines


def test_nothing_critical_is_found_in_any_stack(lab: Project) -> None:
    found = {
        f"{kind}: {line}"
        for kind in [*base_variants(), *option_variants()]
        for line in score(build(lab, kind).text)
        if line.startswith("[CRITICAL]")
    }
    assert found == set()


def test_it_would_be_found(lab: Project) -> None:
    text = build(lab, base_variants()[0]).text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    assert [line for line in score(text) if line.startswith("[CRITICAL]")]

"""kube-score, an independent linter, on the manifests of every stack; it is built from Go modules."""

from __future__ import annotations

import subprocess

import pytest
from harness.kubernetes.releases import KUBE_SCORE
from harness.manifests import base_variants, build, option_variants
from harness.project import fresh

from devai_tasks.config.project import Project


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project that renders all manifests."""
    return fresh(tmp_path_factory.mktemp("score") / "lab")


def score(text: str) -> list[str]:
    """Return kube-score's results for manifests: a line for each check of each object."""
    program = KUBE_SCORE.programs() / "kube-score"
    result = subprocess.run(
        [program, "score", "--output-format=ci", "-"], input=text, capture_output=True, text=True, check=False
    )
    lines = result.stdout.splitlines()
    assert any(line.startswith("[OK]") for line in lines), result.stderr
    return lines


def test_manifests_of_all_stacks_have_no_critical_findings(lab: Project) -> None:
    findings = {
        f"{kind}: {line}"
        for kind in [*base_variants(), *option_variants()]
        for line in score(build(lab, kind).text)
        if line.startswith("[CRITICAL]")
    }
    assert findings == set()


def test_writable_root_file_system_is_a_critical_finding(lab: Project) -> None:
    text = build(lab, base_variants()[0]).text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    assert [line for line in score(text) if line.startswith("[CRITICAL]")]

"""Terraform itself on every root: formatted, valid, and the assertions of `tests/*.tftest.hcl` hold.

Nothing is asked of a cloud: the providers are recorded schemas, and in the tests Terraform's own mocks of them.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import hcl

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.offline import recording
from devai_tasks.render import terraform as definition
from devai_tasks.tools import offline, terraform

# Of the issue that asked for them, and of each cloud's share.
LEAST_ASSERTIONS = 60


@pytest.fixture(scope="module")
def providers() -> Iterator[str]:
    """All recorded providers, served; the value by which Terraform finds them."""
    with offline.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        yield addresses


def run(*arguments: str, data: Path, providers: str = "") -> subprocess.CompletedProcess[str]:
    """Terraform in a root of this checkout, which it leaves as it was."""
    environ = {**os.environ, "TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "TF_REATTACH_PROVIDERS": providers}
    return subprocess.run(
        [*terraform.find("auto"), *arguments], env=environ, capture_output=True, text=True, check=False
    )


def test_files_are_formatted(tmp_path: Path) -> None:
    result = run("fmt", "-check", "-diff", "-recursive", str(hcl.ROOT), data=tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_a_root_is_valid_and_does_what_its_tests_say(cloud: str, providers: str, tmp_path: Path) -> None:
    chdir = f"-chdir={hcl.ROOT / cloud}"
    steps = (["init", "-backend=false", "-input=false"], ["validate"], ["test"])

    for step in steps:
        result = run(chdir, *step, "-no-color", data=tmp_path, providers=providers)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_each_cloud_has_its_share_of_assertions(cloud: str) -> None:
    files = (hcl.ROOT / cloud / "tests").glob("*.tftest.hcl")

    assert sum(file.read_text(encoding="utf-8").count("error_message") for file in files) >= LEAST_ASSERTIONS


CERTIFICATE = "terraform.certificate=https://mine.vault.azure.net/secrets/lab"
# What a platform wants beside the shipped values: sizes that it offers, a certificate where Azure gives none.
SIZES = {
    "aws": ("gpu.machine_type=g6.2xlarge",),
    "azure": (
        CERTIFICATE,
        "resources.lab.memory=4Gi",
        "resources.ollama.memory=8Gi",
        "compute.replicas={min: 1, max: 1}",
    ),
    "gcp": ("resources.lab.memory=4Gi", "resources.ollama.cpu=4", "resources.ollama.memory=16Gi"),
}
PLATFORMS = ("kubernetes", "simple")
IMAGE = f"registry.example.com/devai-lab@sha256:{'0' * 64}"


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_every_stack_is_planned_on_each_platform_with_and_without_gpus(
    cloud: str, providers: str, project: Project, tmp_path: Path
) -> None:
    shutil.copytree(hcl.ROOT, tmp_path / "terraform")
    root = tmp_path / "terraform" / cloud
    (root / "backend.tf").unlink()  # the state is of no interest here
    assert run(f"-chdir={root}", "init", data=tmp_path, providers=providers).returncode == 0

    for environment, platform, gpu in itertools.product(("dev", "staging", "prod"), PLATFORMS, (False, True)):
        if (cloud, platform, gpu) == ("azure", "simple", True):
            continue  # the configuration refuses it: there are no such machines
        overrides = [f"compute.platform={platform}", *SIZES[cloud]]
        settings = load(project, Stack(environment, cloud), overrides, gpu=gpu, environ={})
        values = tmp_path / "values.tfvars.json"
        values.write_text(json.dumps(definition.variables(settings) | {"image": IMAGE}), encoding="utf-8")

        result = run(f"-chdir={root}", "plan", "-no-color", f"-var-file={values}", data=tmp_path, providers=providers)

        assert result.returncode == 0, f"{settings.stack} {platform} gpu={gpu}: {result.stdout}{result.stderr}"

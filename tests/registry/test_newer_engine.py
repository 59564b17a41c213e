"""Features of newer engines: reproducible digests, multi-platform images, exported caches.

The tests start an engine that stores images in containerd, besides the engine that all other tests use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from harness.cli import inv
from harness.engine import copy_image, docker, inspect, newer_engine
from harness.prerequisites import skip_or_fail
from harness.project import fresh
from harness.registry import FlakyProxy, Registry, registry
from harness.repository import commit

from devai_tasks.config.project import Project

Inv = Callable[..., CompletedProcess[str]]
LAB = "devai-regtest-lab:local-registry"


@pytest.fixture(scope="module")
def newer(built: str, run: Inv) -> Iterator[str]:
    """The newer engine, with the base image of the other engine."""
    assert built
    with newer_engine() as address:
        copy_image(json.loads(run("image.base", "--json").stdout)["name"], address)
        yield address


@pytest.fixture(scope="module")
def first_build(newer: str, run: Inv) -> CompletedProcess[str]:
    result = run("image.build", DOCKER_HOST=newer)
    assert result.returncode == 0, result.stderr
    return result


def test_builds_of_same_commit_have_same_digest(newer: str, run: Inv, first_build: CompletedProcess[str]) -> None:
    first = inspect(LAB, newer)
    again = run("image.build", "--no-cache", DOCKER_HOST=newer)
    assert again.returncode == 0, again.stderr
    assert "Successfully installed" in again.stderr  # pip's output, so nothing was cached
    assert inspect(LAB, newer)["Id"] == first["Id"]
    for result in (first_build, again):
        assert "all files get the same time: builds of the same commit have the same digest" in result.stderr


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory, noise: Path, newer: str, local_registry: Registry) -> Inv:
    """A function that runs tasks on the newer engine, in a project with a minimal Dockerfile."""
    project = fresh(tmp_path_factory.mktemp("minimal") / "lab")
    shutil.copy(noise, project.root / "deploy/image/noise")
    (project.root / "Dockerfile").write_text(
        "FROM scratch\nARG TARGETPLATFORM\nARG INPUTS\nCOPY deploy/image/noise /\n"
        "LABEL platform=${TARGETPLATFORM} io.devai.inputs=${INPUTS}\n",
        encoding="utf-8",
    )
    (project.conf / "profiles/little.yaml").write_text(
        f"project: {{name: devai-minimal}}\nimage: {{registry: {local_registry.address}/devai, tags: [latest]}}\n",
        encoding="utf-8",
    )
    subprocess.run(["git", "init", "--quiet", project.root], check=True)
    commit(project.root)

    def task(*arguments: str, **environ: str) -> CompletedProcess[str]:
        return inv(*arguments, "--env=little", cwd=project.root, environ={"DOCKER_HOST": newer, **environ})

    return task


def test_multi_platform_image_is_pushed_as_one_index(minimal: Inv, local_registry: Registry) -> None:
    """Use two levels of one architecture, which need no emulation."""
    platforms = "--platform=linux/amd64,linux/amd64/v2"
    if not docker("version", "--format={{.Server.Arch}}").startswith("amd64"):
        skip_or_fail("this test needs an amd64 machine")
    built = minimal("image.build", platforms)
    assert built.returncode == 0, built.stderr
    pushed = minimal("image.push", platforms, "--json")
    assert pushed.returncode == 0, pushed.stderr
    result = json.loads(pushed.stdout)
    headers = {
        "Accept": "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
    }
    for reference in (result["digest"], "latest"):
        url = f"http://{local_registry.address}/v2/devai/devai-minimal-lab/manifests/{reference}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            assert answer.headers["Docker-Content-Digest"] == result["digest"]
            variants = [entry["platform"].get("variant", "") for entry in json.load(answer)["manifests"]]
        assert variants == ["", "v2"]
    again = minimal("image.push", platforms)
    assert again.returncode == 0
    assert ": present" in again.stderr
    # Another stack with the same registry and commit, but with other packages.
    other = minimal("image.push", platforms, "--set=image.packages=minimal")
    assert other.returncode == 2
    assert f"exists already and is another image ({result['digest']})" in other.stderr


@pytest.mark.parametrize("kind", ["registry", "folder"])
def test_exported_cache_is_imported_by_next_build(minimal: Inv, newer: str, tmp_path: Path, kind: str) -> None:
    cache = "registry" if kind == "registry" else str(tmp_path / "cache")
    filled = minimal("image.build", "--no-cache", f"--cache-to={cache}")
    assert filled.returncode == 0, filled.stderr
    docker("builder", "prune", "--all", "--force", engine=newer)
    used = minimal("image.build", f"--cache-from={cache}")
    assert used.returncode == 0, used.stderr
    # Cached, or downloaded from the registry as a layer.
    assert re.search(r"^#\d+ (CACHED|sha256:[0-9a-f]+ \S+ / \S+ .*done)$", used.stderr, re.MULTILINE), used.stderr


def test_builder_without_cache_export_is_reported(minimal: Inv) -> None:
    older = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if "containerd.snapshotter" in docker("info", "--format={{.DriverStatus}}"):
        pytest.skip("this machine's engine exports caches")
    result = minimal("image.build", "--cache-to=registry", DOCKER_HOST=older)
    assert result.returncode == 1
    assert "this builder can't export a cache" in result.stderr
    assert "Traceback" not in result.stderr


def test_platform_without_emulation_is_refused(minimal: Inv, newer: str) -> None:
    platforms = docker("buildx", "inspect", engine=newer)
    foreign = "linux/arm64" if "linux/arm64" not in platforms else "linux/s390x"
    if foreign in platforms:
        pytest.skip("this builder supports every platform")
    result = minimal("image.build", f"--platform={foreign}")
    assert result.returncode == 1
    assert f"but not {foreign}: the machine has no emulation for it" in result.stderr


def test_interrupted_push_is_retried(minimal: Inv, local_registry: Registry) -> None:
    """The newer engine does not retry by itself."""
    assert minimal("image.build").returncode == 0
    proxy = FlakyProxy(local_registry.address, breaks_after=1 << 20, refusals=2)
    try:
        pushed = minimal(
            "image.push", "--json", f"--set=image.registry={proxy.address}/interrupted", "--set=image.tags=[]"
        )
    finally:
        proxy.close()
    assert pushed.returncode == 0, pushed.stderr
    assert proxy.broken
    assert "retrying in 2 s, without what has been transferred already" in pushed.stderr
    direct = minimal(
        "image.push", f"--set=image.registry={local_registry.address}/interrupted", "--set=image.tags=[]", "--json"
    )
    assert json.loads(direct.stdout)["digest"] == json.loads(pushed.stdout)["digest"]
    assert ": present" in direct.stderr


@pytest.fixture
def full_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry whose disk is smaller than the image."""
    if os.geteuid() != 0:
        skip_or_fail("a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    try:
        with registry(tmp_path, storage=disk) as running:
            yield running
    finally:
        subprocess.run(["umount", disk], check=True)


def test_full_registry_disk_is_reported_without_retry(minimal: Inv, full_registry: Registry) -> None:
    assert minimal("image.build").returncode == 0
    result = minimal("image.push", f"--set=image.registry={full_registry.address}/devai")
    assert result.returncode == 1
    assert "reports an internal error" in result.stderr
    assert "a full disk is a frequent cause; see the registry's log" in result.stderr
    assert "retrying in" not in result.stderr
    assert "Traceback" not in result.stderr
    assert "no space left on device" in full_registry.log.read_text(encoding="utf-8")


def test_locked_packages_have_arm64_wheels(lab: Project, tmp_path: Path) -> None:
    """Require wheels for all packages, since nothing should be built from source under emulation."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        skip_or_fail("uv is not installed")
    for lock in ("minimal", "standard", "full", "cuda13", "cuda12"):
        file = lab.root / f"deploy/image/requirements/{lock}.lock"
        command = [uv, "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        platform = ["--python-platform=aarch64-manylinux_2_28", "--python-version=3.13", f"--target={tmp_path}"]
        result = subprocess.run(
            [*map(str, command), *platform, "-r", file], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{lock}: {result.stderr}"

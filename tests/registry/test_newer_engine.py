"""What a newer engine can do beside: one digest for builds of one commit, several platforms, caches that travel.

On an engine that keeps images in containerd, beside the one that all other tests use.
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
    """The engine, with the base image that the other one has."""
    assert built
    with newer_engine() as address:
        copy_image(json.loads(run("image.base", "--json").stdout)["name"], address)
        yield address


@pytest.fixture(scope="module")
def first_build(newer: str, run: Inv) -> CompletedProcess[str]:
    done = run("image.build", DOCKER_HOST=newer)
    assert done.returncode == 0, done.stderr
    return done


def test_builds_of_same_commit_have_same_digest(newer: str, run: Inv, first_build: CompletedProcess[str]) -> None:
    first = inspect(LAB, newer)
    again = run("image.build", "--no-cache", DOCKER_HOST=newer)
    assert again.returncode == 0, again.stderr
    assert "Successfully installed" in again.stderr  # pip's word: nothing was taken from the first
    assert inspect(LAB, newer)["Id"] == first["Id"]
    for done in (first_build, again):
        assert "all files get the same time: builds of the same commit have the same digest" in done.stderr


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory, noise: Path, newer: str, local_registry: Registry) -> Inv:
    """A project with a short Dockerfile, where the lab's own has nothing to add: runs tasks on the newer engine."""
    project = fresh(tmp_path_factory.mktemp("little") / "lab")
    shutil.copy(noise, project.root / "deploy/image/noise")
    (project.root / "Dockerfile").write_text(
        "FROM scratch\nARG TARGETPLATFORM\nARG INPUTS\nCOPY deploy/image/noise /\n"
        "LABEL platform=${TARGETPLATFORM} io.devai.inputs=${INPUTS}\n",
        encoding="utf-8",
    )
    (project.conf / "profiles/little.yaml").write_text(
        f"project: {{name: devai-little}}\nimage: {{registry: {local_registry.address}/devai, tags: [latest]}}\n",
        encoding="utf-8",
    )
    subprocess.run(["git", "init", "--quiet", project.root], check=True)
    commit(project.root)

    def task(*words: str, **environ: str) -> CompletedProcess[str]:
        return inv(*words, "--env=little", cwd=project.root, environ={"DOCKER_HOST": newer, **environ})

    return task


def test_multi_platform_image_is_pushed_as_one_index(little: Inv, local_registry: Registry) -> None:
    """Two levels of one architecture: the machine needs no emulation for them."""
    platforms = "--platform=linux/amd64,linux/amd64/v2"
    if not docker("version", "--format={{.Server.Arch}}").startswith("amd64"):
        skip_or_fail("the second platform of this test is one of amd64")
    built = little("image.build", platforms)
    assert built.returncode == 0, built.stderr
    pushed = little("image.push", platforms, "--json")
    assert pushed.returncode == 0, pushed.stderr
    said = json.loads(pushed.stdout)
    kinds = {
        "Accept": "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
    }
    for reference in (said["digest"], "latest"):
        url = f"http://{local_registry.address}/v2/devai/devai-little-lab/manifests/{reference}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=kinds)) as answer:
            assert answer.headers["Docker-Content-Digest"] == said["digest"]
            variants = [entry["platform"].get("variant", "") for entry in json.load(answer)["manifests"]]
        assert variants == ["", "v2"]
    again = little("image.push", platforms)
    assert again.returncode == 0
    assert ": present" in again.stderr
    # Another stack that shares the registry, with other packages in its image of the same commit.
    other = little("image.push", platforms, "--set=image.packages=minimal")
    assert other.returncode == 2
    assert f"exists already and is another image ({said['digest']})" in other.stderr


@pytest.mark.parametrize("kind", ["registry", "folder"])
def test_exported_cache_is_imported_by_next_build(little: Inv, newer: str, tmp_path: Path, kind: str) -> None:
    cache = "registry" if kind == "registry" else str(tmp_path / "cache")
    filled = little("image.build", "--no-cache", f"--cache-to={cache}")
    assert filled.returncode == 0, filled.stderr
    docker("builder", "prune", "--all", "--force", engine=newer)
    used = little("image.build", f"--cache-from={cache}")
    assert used.returncode == 0, used.stderr
    # Taken as it is, or as the layer that the registry has.
    assert re.search(r"^#\d+ (CACHED|sha256:[0-9a-f]+ \S+ / \S+ .*done)$", used.stderr, re.MULTILINE), used.stderr


def test_builder_without_cache_export_is_reported(little: Inv) -> None:
    older = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if "containerd.snapshotter" in docker("info", "--format={{.DriverStatus}}"):
        pytest.skip("this machine's own engine exports caches")
    done = little("image.build", "--cache-to=registry", DOCKER_HOST=older)
    assert done.returncode == 1
    assert "this builder can't export a cache" in done.stderr
    assert "Traceback" not in done.stderr


def test_platform_without_emulation_is_refused(little: Inv, newer: str) -> None:
    able = docker("buildx", "inspect", engine=newer)
    foreign = "linux/arm64" if "linux/arm64" not in able else "linux/s390x"
    if foreign in able:
        pytest.skip("this builder supports every platform")
    done = little("image.build", f"--platform={foreign}")
    assert done.returncode == 1
    assert f"but not {foreign}: the machine has no emulation for it" in done.stderr


def test_interrupted_push_is_retried(little: Inv, local_registry: Registry) -> None:
    """This one doesn't try again on its own."""
    assert little("image.build").returncode == 0
    line = FlakyProxy(local_registry.address, breaks_after=1 << 20, refusals=2)
    try:
        pushed = little("image.push", "--json", f"--set=image.registry={line.address}/cut", "--set=image.tags=[]")
    finally:
        line.close()
    assert pushed.returncode == 0, pushed.stderr
    assert line.broken
    assert "retrying in 2 s, without what has been transferred already" in pushed.stderr
    whole = little("image.push", f"--set=image.registry={local_registry.address}/cut", "--set=image.tags=[]", "--json")
    assert json.loads(whole.stdout)["digest"] == json.loads(pushed.stdout)["digest"]
    assert ": present" in whole.stderr


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


def test_full_registry_disk_is_reported_without_retry(little: Inv, full_registry: Registry) -> None:
    assert little("image.build").returncode == 0
    done = little("image.push", f"--set=image.registry={full_registry.address}/devai")
    assert done.returncode == 1
    assert "reports an internal error" in done.stderr
    assert "a full disk is a frequent cause; see the registry's log" in done.stderr
    assert "retrying in" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "no space left on device" in full_registry.log.read_text(encoding="utf-8")


def test_locked_packages_have_arm64_wheels(lab: Project, tmp_path: Path) -> None:
    """Emulation may be missing, wheels may not: nothing would be built from source there."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        skip_or_fail("uv is not installed")
    for lock in ("minimal", "standard", "full", "cuda13", "cuda12"):
        file = lab.root / f"deploy/image/requirements/{lock}.lock"
        command = [uv, "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        platform = ["--python-platform=aarch64-manylinux_2_28", "--python-version=3.13", f"--target={tmp_path}"]
        done = subprocess.run([*map(str, command), *platform, "-r", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{lock}: {done.stderr}"

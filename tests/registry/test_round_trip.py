"""The lab's image: built, tagged with its commit, pushed, pulled by its digest, and run."""

from __future__ import annotations

import hashlib
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from harness import fakes
from harness.engine import docker, image_files, image_names, inspect
from harness.registry import Registry, free_port
from harness.repository import git

from devai_tasks.config.project import Project
from devai_tasks.engine.referrers import Repository
from devai_tasks.targets.image import attestations

Inv = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def pushed(built: str, run: Inv) -> dict[str, str]:  # noqa: ARG001 - the image must exist
    """The output of `inv image.push --json`."""
    result = run("image.push", "--json")
    assert result.returncode == 0, result.stderr
    output: dict[str, str] = json.loads(result.stdout)
    return output


def in_registry(registry: Registry, name: str, reference: str) -> str:
    """Return the digest that the registry reports for a tag or a digest."""
    accept = (
        "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
        "application/vnd.oci.image.index.v1+json"
    )
    url = f"http://{registry.address}/v2/{name}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD", headers={"Accept": accept})) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_image_tag_has_commit_and_registry_confirms_digest(
    lab: Project, local_registry: Registry, pushed: dict[str, str]
) -> None:
    tag = f"0.1.0-{git(lab.root, 'rev-parse', 'HEAD')[:12]}"
    assert pushed["name"] == f"{local_registry.address}/devai/devai-regtest-lab:{tag}"
    for reference in (tag, "latest", pushed["digest"]):
        assert in_registry(local_registry, "devai/devai-regtest-lab", reference) == pushed["digest"]


def test_pushed_digest_is_recorded_for_stack(lab: Project, run: Inv, pushed: dict[str, str]) -> None:
    assert run("config.show", "--key=image.digest").stdout.strip() == pushed["digest"]
    assert pushed["digest"] in (lab.root / ".devai/local-registry/deployment.yaml").read_text(encoding="utf-8")


def test_sbom_and_provenance_are_attached_as_referrers(
    lab: Project, local_registry: Registry, run: Inv, pushed: dict[str, str]
) -> None:
    """This registry has no referrers API, so the list of referrers has a tag that contains the digest."""
    repository = Repository(pushed["name"].rpartition(":")[0])
    referrers = {entry["artifactType"]: entry["digest"] for entry in repository.referrers(pushed["digest"])}
    assert referrers.keys() == {attestations.SBOM, attestations.STATEMENT}
    assert in_registry(local_registry, "devai/devai-regtest-lab", pushed["digest"].replace(":", "-"))
    assert repository.content(referrers[attestations.SBOM]).decode() == run("image.sbom").stdout
    statement = json.loads(repository.content(referrers[attestations.STATEMENT]))
    assert statement["subject"][0]["digest"] == {"sha256": pushed["digest"].removeprefix("sha256:")}
    dependencies = {part["name"]: part for part in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert dependencies["source"]["digest"] == {"gitCommit": git(lab.root, "rev-parse", "HEAD")}
    assert dependencies["source"]["annotations"] == {"dirty": False}
    lock = "deploy/image/requirements/minimal.lock"
    assert dependencies[lock]["digest"] == {"sha256": hashlib.sha256((lab.root / lock).read_bytes()).hexdigest()}
    assert dependencies["base"]["uri"] == f"docker://{json.loads(run('image.inspect', '--json').stdout)['base']}"


def test_builds_of_same_commit_have_equal_files(built: str, run: Inv) -> None:
    """Compare digests if the builder sets the times of files, as its output reports; otherwise compare files."""
    first = inspect(built)
    docker("tag", built, "devai-regtest-first")
    again = run("image.build", "--no-cache")
    second = inspect(built)
    try:
        assert again.returncode == 0, again.stderr
        assert "Successfully installed" in again.stderr  # pip's output, so nothing was cached
        if "builds of the same commit have the same digest" in again.stderr:
            assert second["Id"] == first["Id"]
        else:
            assert "builds of the same commit differ in their digests only" in again.stderr
            left, right = image_files("devai-regtest-first"), image_files(built)
            assert len(left) > 20_000
            assert {name for name in left.keys() | right.keys() if left.get(name) != right.get(name)} == set()
    finally:
        docker("tag", "devai-regtest-first", built)  # the pushed image
        docker("rmi", "devai-regtest-first")


def test_repeated_push_sends_nothing(run: Inv, pushed: dict[str, str]) -> None:
    again = run("image.push", "--json")
    assert json.loads(again.stdout) == pushed
    assert f"{pushed['name']}: present" in again.stderr
    assert ": Pushed" not in again.stderr
    assert "attached attestations: 2, of which new: 0" in again.stderr


def test_different_image_of_same_commit_is_refused(built: str, small: str, run: Inv, pushed: dict[str, str]) -> None:
    original = str(inspect(built)["Id"])
    docker("tag", small, built)
    try:
        refused = run("image.push")
    finally:
        docker("tag", original, built)
    assert refused.returncode == 2
    assert f"exists already and is another image ({pushed['digest']})" in refused.stderr


def test_uncommitted_files_change_the_tag(lab: Project, run: Inv, pushed: dict[str, str]) -> None:
    new = lab.root / "new"
    new.touch()
    try:
        result = json.loads(run("image.tag", "--json").stdout)
    finally:
        new.unlink()
    assert re.fullmatch(rf"{re.escape(pushed['name'])}-dirty-[0-9a-f]{{8}}", result["name"])


@pytest.fixture
def pulled(built: str, run: Inv, pushed: dict[str, str]) -> str:
    """The image, removed from the engine and pulled by its digest."""
    docker("rmi", "--force", *image_names("*/devai/devai-regtest-lab"), built)
    result = run("image.pull", "--json")
    assert result.returncode == 0, result.stderr
    assert f"@{pushed['digest']}" in result.stderr
    return built


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def running(pulled: str, address: str) -> Iterator[str]:
    """A container of the pulled image, run without Compose."""
    container = docker("run", "--detach", "--env=JUPYTER_TOKEN=test-token", f"--publish={address}:8888", pulled)
    yield container
    docker("rm", "--force", container)


def test_image_pulled_by_digest_runs(running: str, address: str) -> None:
    started = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/api", timeout=2) as answer:
                assert json.load(answer)["version"]
            break
        except OSError:
            assert time.monotonic() < started + 60, docker("logs", running)
            time.sleep(0.1)
    assert docker("exec", running, "id", "-u") == "10001"


def test_labels_contain_origin_of_image(lab: Project, built: str, run: Inv) -> None:  # noqa: ARG001
    info = json.loads(run("image.inspect", "--json").stdout)
    assert info["revision"] == git(lab.root, "rev-parse", "HEAD")
    assert info["version"] == "0.1.0"
    assert info["licenses"] == "Apache-2.0"
    assert info["source"] == "https://git.example.com/lab.git"  # without the token of git's remote
    assert info["base"] in ("debian:trixie-slim", "devai-base:trixie")
    assert info["base_source"] == ("registry" if info["base_digest"] else "debootstrap")


def test_sbom_is_valid_and_lists_packages_of_image(lab: Project, built: str, run: Inv, tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    file = tmp_path / "sbom.json"
    assert run("image.sbom", f"--output={file}").returncode == 0
    text = file.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    packages = {
        (part["purl"].partition("/")[0], part["name"], part["version"]) for part in json.loads(text)["components"]
    }
    lock = (lab.root / "deploy/image/requirements/minimal.lock").read_text(encoding="utf-8")
    version = lock.partition("\njupyterlab==")[2].split()[0]
    assert ("pkg:pypi", "jupyterlab", version) in packages
    dpkg = docker("run", "--rm", "--entrypoint=dpkg-query", built, "--show", "--showformat=${Version}", "tini")
    assert ("pkg:deb", "tini", dpkg) in packages
    assert run("image.sbom").stdout == text  # the same text for the same image


def test_scan_fails_on_known_vulnerability(built: str, run: Inv) -> None:  # noqa: ARG001
    with fakes.osv(package="jupyterlab") as service:
        environ = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": f"http://{service.address}/v1/query"}
        vulnerable = run("image.scan", "--scanner=pip-audit", **environ)
    assert vulnerable.returncode == 1
    assert "TEST-2026-1" in vulnerable.stdout
    with fakes.osv(package="not-in-the-image") as service:
        environ["PIP_AUDIT_OSV_URL"] = f"http://{service.address}/v1/query"
        clean = run("image.scan", "--scanner=pip-audit", **environ)
    assert clean.returncode == 0, clean.stderr
    assert len(service.requests) > 80  # a request for every package


def test_failed_scanner_fails_the_scan(built: str, run: Inv) -> None:  # noqa: ARG001
    unreachable = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": "http://127.0.0.1:9/v1/query"}
    failed = run("image.scan", "--scanner=pip-audit", **unreachable)
    assert failed.returncode == 1
    assert "pip-audit failed (exit code " in failed.stderr
    assert "Traceback" not in failed.stderr


def test_image_size_is_sum_of_layers(built: str, run: Inv) -> None:
    result = json.loads(run("image.size", "--json").stdout)
    assert result["bytes"] == sum(layer["bytes"] for layer in result["layers"])
    assert "COPY /opt/lab /opt/lab" in [layer["step"] for layer in result["layers"]]
    assert built


def test_gpu_dockerfile_reuses_steps_of_cpu_image(built: str, lab: Project, run: Inv) -> None:  # noqa: ARG001
    """Build Dockerfile.gpu on the CPU image's base with the same packages: all steps except CUDA's are cached."""
    base = json.loads(run("image.base", "--json").stdout)["name"]
    assert run("config.render", "--gpu").returncode == 0
    from subprocess import run as start

    file = "generated/local-registry/image/docker-bake.json"
    command = ["docker", "buildx", "bake", "--progress=plain", f"--file={file}", "--set=lab.args.PACKAGES=minimal"]
    result = start(
        [*command, f"--set=lab.args.BASE_IMAGE={base}", "--set=lab.tags=devai-regtest-gpu", "lab"],
        cwd=lab.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "load build definition from Dockerfile.gpu" in result.stderr
    steps = re.findall(r"^(#\d+) \[[^]]+\] RUN ", result.stderr, re.MULTILINE)
    assert steps
    assert {f"{step} CACHED" for step in steps} <= set(result.stderr.splitlines()), result.stderr
    docker("rmi", "devai-regtest-gpu")


def test_base_image_is_pinned_to_registry_digest(built: str, lab: Project, local_registry: Registry, run: Inv) -> None:
    base = json.loads(run("image.base", "--json").stdout)["name"]
    name = f"{local_registry.address}/debian:trixie-slim"
    docker("tag", base, name)
    docker("push", "--quiet", name)
    digest = in_registry(local_registry, "debian", "trixie-slim")
    pins = lab.root / "conf/common/pins.yaml"
    overrides = [f"--set=image.base.{key}={name}" for key in ("name", "cuda12", "cuda13")]
    try:
        locked = run("image.lock", "--only=images", *overrides, f"--set=ollama.image={name}@{digest}")
        written = pins.read_text(encoding="utf-8")
        used = json.loads(run("image.base", "--json", f"--set=image.base.name={name}").stdout)
        rebuilt = run("image.build", f"--set=image.base.name={name}")
        info = json.loads(run("image.inspect", "--json").stdout)
    finally:
        pins.unlink(missing_ok=True)
        run("image.build")
        docker("rmi", "--force", name)
    assert locked.returncode == 0, locked.stderr
    assert written.endswith(f"pins:\n  - {name}@{digest}\n")
    assert used == {"name": f"{name}@{digest}", "source": "present", "digest": digest}
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert (info["base"], info["base_digest"]) == (f"{name}@{digest}", digest)
    assert built


def test_prune_requires_confirmation_and_keeps_used_images(
    built: str, local_registry: Registry, run: Inv, small: str
) -> None:
    assert small
    repository = f"{local_registry.address}/devai/devai-regtest-lab"
    docker("tag", built, f"{repository}:0.1.0-of-another-commit")
    refused = run("image.prune")
    assert refused.returncode == 2
    assert "no terminal to ask; nothing was changed" in refused.stderr
    assert run("image.prune", "--yes").returncode == 0
    remaining = docker("images", "--format={{.Repository}}:{{.Tag}}").split()
    assert f"{repository}:0.1.0-of-another-commit" not in remaining
    assert built in remaining


def test_prune_keeps_untagged_image_of_a_container(run: Inv, tmp_path: Path) -> None:
    name, ids = "devai-regtest-rebuilt", []
    for build in ("used", "unused", "newest"):
        (tmp_path / "Dockerfile").write_text(f'FROM scratch\nLABEL build={build}\nCMD ["none"]\n', encoding="utf-8")
        docker("build", "--quiet", "--label=io.devai.project=devai-regtest", f"--tag={name}", str(tmp_path))
        ids.append(str(inspect(name)["Id"]))
        if build == "used":
            container = docker("create", name)
    try:
        pruned = run("image.prune", "--yes")
        remaining = docker("images", "--all", "--quiet", "--no-trunc").split()
    finally:
        docker("rm", container)
        docker("rmi", "--force", ids[0], name)
    assert pruned.returncode == 0, pruned.stderr
    assert [each in remaining for each in ids] == [True, False, True]

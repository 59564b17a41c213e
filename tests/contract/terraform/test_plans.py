"""Terraform's checks of every root: format, validity, the assertions of `tests/*.tftest.hcl`, and plans.

No test uses a cloud: the providers are schema snapshots, and in `tests/*.tftest.hcl` Terraform's own mocks of them.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from harness import hcl
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.offline import recording, serving
from devai_tasks.targets.terraform import client, rendering

# The minimum for each root.
MINIMUM_ASSERTIONS = 60


@pytest.fixture(scope="module")
def providers() -> Iterator[str]:
    """Serve all provider schema snapshots; the value of TF_REATTACH_PROVIDERS."""
    with serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        yield addresses


def run(*arguments: str, data: Path, providers: str = "") -> subprocess.CompletedProcess[str]:
    """Run Terraform; its data folder is outside the root, which stays unchanged."""
    environ = {**os.environ, "TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "TF_REATTACH_PROVIDERS": providers}
    return subprocess.run([*client.find("auto"), *arguments], env=environ, capture_output=True, text=True, check=False)


def test_terraform_files_are_formatted(tmp_path: Path) -> None:
    result = run("fmt", "-check", "-diff", "-recursive", str(hcl.ROOT), data=tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_root_is_valid_and_passes_its_tests(cloud: str, providers: str, tmp_path: Path) -> None:
    chdir = f"-chdir={hcl.ROOT / cloud}"
    steps = (["init", "-backend=false", "-input=false"], ["validate"], ["test"])

    for step in steps:
        result = run(chdir, *step, "-no-color", data=tmp_path, providers=providers)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_each_root_has_enough_assertions(cloud: str) -> None:
    files = (hcl.ROOT / cloud / "tests").glob("*.tftest.hcl")

    assert sum(file.read_text(encoding="utf-8").count("error_message") for file in files) >= MINIMUM_ASSERTIONS


CERTIFICATE = "terraform.certificate=https://mine.vault.azure.net/secrets/lab"
# Overrides that the platforms need: sizes that they offer, and a certificate, which Azure does not issue.
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


def copied(cloud: str, providers: str, folder: Path) -> Path:
    """Return a copy of a root and its modules, with its state in a file."""
    shutil.copytree(hcl.ROOT, folder / "terraform")
    root = folder / "terraform" / cloud
    (root / "backend.tf").unlink()
    assert run(f"-chdir={root}", "init", data=folder, providers=providers).returncode == 0
    return root


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_plan_succeeds_for_every_platform_and_gpu_setting(
    cloud: str, providers: str, project: Project, tmp_path: Path
) -> None:
    root = copied(cloud, providers, tmp_path)

    for environment, platform, gpu in itertools.product(("dev", "staging", "prod"), PLATFORMS, (False, True)):
        if (cloud, platform, gpu) == ("azure", "simple", True):
            continue  # the configuration rejects this: Container Instances has no such machines
        overrides = [f"compute.platform={platform}", *SIZES[cloud]]
        settings = load(project, Stack(environment, cloud), overrides, gpu=gpu, environ={})
        values = tmp_path / "values.tfvars.json"
        values.write_text(json.dumps(rendering.variables(settings) | {"image": IMAGE}), encoding="utf-8")

        result = run(f"-chdir={root}", "plan", "-no-color", f"-var-file={values}", data=tmp_path, providers=providers)

        assert result.returncode == 0, f"{settings.stack} {platform} gpu={gpu}: {result.stdout}{result.stderr}"


CLUSTER = "module.compute[0].aws_ecs_cluster_capacity_providers.this: Modifications complete"
MACHINES = "module.compute[0].aws_ecs_capacity_provider.gpu[0]"
HTTP = "module.ingress.google_compute_target_http_proxy.this[0]: Modifications complete"
# Another proxy has replaced the proxy before.
HTTPS = "module.ingress.google_compute_target_https_proxy.this[0]: Destruction complete"
ENTRY = "module.ingress.google_certificate_manager_certificate_map_entry.this[0]"
REDIRECT = "module.ingress.google_compute_url_map.redirect[0]"
# Clouds refuse to destroy resources in use. By change: cloud, overrides before and after, the destroyed resource, and
# the message of the operation that must release the resource first.
RELEASES: dict[str, tuple[str, Sequence[str], Sequence[str], str, str]] = {
    "no GPUs": ("aws", ["gpu.enabled=true"], [], MACHINES, CLUSTER),
    "custom certificate": ("gcp", [], ["terraform.certificate=mine"], ENTRY, HTTPS),
    "no host name": ("gcp", [], ["ingress.host="], ENTRY, HTTPS),
    "no HTTPS": ("gcp", [], ["tls.enabled=false"], REDIRECT, HTTP),
}


@pytest.mark.parametrize("change", RELEASES)
def test_resource_in_use_is_released_before_destruction(
    change: str, providers: str, project: Project, tmp_path: Path
) -> None:
    cloud, before, after, destroyed, release = RELEASES[change]
    root, values = copied(cloud, providers, tmp_path), tmp_path / "values.tfvars.json"

    for overrides in (before, after):
        containers = ["compute.platform=simple", *SIZES[cloud], *overrides]
        settings = load(project, Stack("dev", cloud), containers, environ={})
        values.write_text(json.dumps(rendering.variables(settings) | {"image": IMAGE}), encoding="utf-8")
        flags = ("apply", "-auto-approve", "-no-color", f"-var-file={values}")
        applied = run(f"-chdir={root}", *flags, data=tmp_path, providers=providers)
        assert applied.returncode == 0, applied.stdout + applied.stderr

    assert applied.stdout.index(release) < applied.stdout.index(f"{destroyed}: Destroying")


# The service of each cloud, and the resources that it needs to start and to stop but does not reference.
DEPENDENCIES = {
    "aws": (
        "aws_ecs_service",
        {
            "module.networking.aws_nat_gateway.this",
            "module.networking.aws_route_table_association.private",
            "module.networking.aws_route_table_association.public",
            "module.networking.aws_vpc_security_group_egress_rule.workload",
            "module.networking.aws_vpc_security_group_ingress_rule.workload",
            "module.networking.aws_vpc_security_group_ingress_rule.storage",
            "module.storage.aws_efs_mount_target.this",
            "module.identity.aws_iam_role_policy.this",
            "module.ingress.aws_lb_listener.https",
        },
    ),
    "azure": (
        "azurerm_container_group",
        {
            "module.networking.azurerm_subnet_nat_gateway_association.this",
            "module.storage.azurerm_private_endpoint.this",
            "module.identity.azurerm_role_assignment.pull",
        },
    ),
    "gcp": (
        "google_cloud_run_v2_service",
        {"module.identity.google_secret_manager_secret_iam_member.this"},
    ),
}


@pytest.mark.parametrize("cloud", DEPENDENCIES)
def test_service_depends_on_everything_it_needs_to_run(
    cloud: str, providers: str, project: Project, tmp_path: Path
) -> None:
    kind, expected = DEPENDENCIES[cloud]
    root, values = copied(cloud, providers, tmp_path), tmp_path / "values.tfvars.json"
    settings = load(project, Stack("dev", cloud), ["compute.platform=simple", *SIZES[cloud]], environ={})
    secrets = {"secret_versions": {"JUPYTER_TOKEN": 1}, "secret_values": {"JUPYTER_TOKEN": "1"}}
    values.write_text(json.dumps(rendering.variables(settings) | {"image": IMAGE} | secrets), encoding="utf-8")
    flags = ("apply", "-auto-approve", "-no-color", f"-var-file={values}")

    applied = run(f"-chdir={root}", *flags, data=tmp_path, providers=providers)

    assert applied.returncode == 0, applied.stdout + applied.stderr
    state = json.loads((root / "terraform.tfstate").read_text(encoding="utf-8"))
    (service,) = (entry for entry in state["resources"] if entry["type"] == kind)
    assert expected - set(service["instances"][0]["dependencies"]) == set()


def test_old_secret_version_is_destroyed_after_service_update(providers: str, project: Project, tmp_path: Path) -> None:
    """Google destroys old versions, and an instance of Cloud Run does not start without the version that it uses."""
    root, values = copied("gcp", providers, tmp_path), tmp_path / "values.tfvars.json"
    settings = load(project, Stack("dev", "gcp"), ["compute.platform=simple", *SIZES["gcp"]], environ={})

    for version in (1, 2):
        secrets = {"secret_versions": {"JUPYTER_TOKEN": version}, "secret_values": {"JUPYTER_TOKEN": str(version)}}
        values.write_text(json.dumps(rendering.variables(settings) | {"image": IMAGE} | secrets), encoding="utf-8")
        flags = ("apply", "-auto-approve", "-no-color", f"-var-file={values}")
        applied = run(f"-chdir={root}", *flags, data=tmp_path, providers=providers)
        assert applied.returncode == 0, applied.stdout + applied.stderr

    address, output = "module.secrets.google_secret_manager_secret_version.this", applied.stdout
    created = output.index(f'{address}["JUPYTER_TOKEN"]: Creation complete')
    used = output.index("module.compute[0].google_cloud_run_v2_service.this: Modifications complete")
    assert created < used < output.index(f'{address}["JUPYTER_TOKEN"] (deposed object')

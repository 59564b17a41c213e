"""Variables and backend of Terraform: those that the root modules declare, and a separate state for each stack."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.targets.terraform import rendering as terraform
from devai_tasks.targets.terraform.rendering import BACKEND, TFVARS

ROOTS = Path(__file__).parents[4] / "deploy/terraform"
CLOUDS = ("aws", "azure", "gcp")
# Passed in the environment when Terraform runs, and never written to a file.
EPHEMERAL = {"secret_values"}


def settings_of(project: Project, cloud: str, *overrides: str, env: str = "dev") -> Settings:
    return load(project, Stack(env, cloud), overrides, environ={})


def backend(settings: Settings) -> dict[str, Any]:
    return clouds.terraform_of(settings).backend(settings)


def store_name(settings: Settings) -> str:
    return clouds.terraform_of(settings).store_name(settings)


def root(cloud: str) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in sorted((ROOTS / cloud).glob("*.tf")))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_values_are_for_the_declared_variables(shipped: Project, cloud: str) -> None:
    declared = set(re.findall(r'^variable "(\w+)"', root(cloud), re.MULTILINE))
    assert set(terraform.variables(settings_of(shipped, cloud))) == declared - EPHEMERAL
    assert declared >= EPHEMERAL


@pytest.mark.parametrize("cloud", CLOUDS)
def test_root_module_uses_every_declared_variable(cloud: str) -> None:
    text = root(cloud)
    outside = re.sub(r'^variable "\w+" \{.*?^\}', "", text, flags=re.MULTILINE | re.DOTALL)
    declared = re.findall(r'^variable "(\w+)"', text, re.MULTILINE)
    assert [name for name in declared if not re.search(rf"\bvar\.{name}\b", outside)] == []


def test_units_are_the_same_in_every_cloud(shipped: Project) -> None:
    for cloud in CLOUDS:
        values = terraform.variables(settings_of(shipped, cloud, "resources.lab.cpu=500m", "storage.home=1.5Ti"))
        assert (values["cpu"], values["memory"], values["storage_size_gb"]) == (0.5, 4096, 1536)
        assert values["ollama"]["memory"] == 8192


@pytest.mark.parametrize("cloud", CLOUDS)
def test_lab_port_is_the_port_of_managed_containers_only(shipped: Project, cloud: str) -> None:
    sizes = ("resources={lab: {cpu: 2, memory: 4Gi}, ollama: {cpu: 2, memory: 4Gi}}", "compute.platform=simple")
    assert terraform.variables(settings_of(shipped, cloud, *sizes, "ports.lab=9000"))["port"] == 9000
    assert terraform.variables(settings_of(shipped, cloud, "ports.lab=80"))["port"] == 8888


def test_image_is_null_before_a_push(shipped: Project) -> None:
    assert terraform.variables(settings_of(shipped, "aws"))["image"] is None
    pushed = (f"image.digest=sha256:{'1' * 64}", "image.registry=r.example.org/x")
    image = terraform.variables(settings_of(shipped, "aws", *pushed))["image"]
    assert image == f"r.example.org/x/devai-lab@sha256:{'1' * 64}"


def test_sizes_of_file_systems_are_rounded_up_to_whole_gib(shipped: Project) -> None:
    settings = settings_of(shipped, "aws", "storage.home=1500Mi", "storage.models=50GB")
    values = terraform.variables(settings)
    assert (values["storage_size_gb"], values["ollama"]["storage_size_gb"]) == (2, 47)


def test_external_ollama_is_a_url_without_a_service(shipped: Project) -> None:
    settings = settings_of(shipped, "aws", "ollama.mode=external", "ollama.url=http://192.0.2.7:1")
    values = terraform.variables(settings)
    assert (values["ollama"], values["ollama_url"]) == (None, "http://192.0.2.7:1")


def test_labels_have_the_form_of_each_provider(shipped: Project) -> None:
    labels = {
        cloud: terraform.variables(settings_of(shipped, cloud, "labels={a.b/C: Some Text, d: e}"))["labels"]
        for cloud in CLOUDS
    }
    assert labels["aws"]["a.b/C"] == labels["azure"]["a.b_C"] == "Some Text"
    assert labels["gcp"]["a_b_c"] == "some_text"
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", text) for entry in labels["gcp"].items() for text in entry)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_artifact_contains_a_secret(shipped: Project, cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "c4n4ry")
    settings = settings_of(shipped, cloud, "secrets={DATABASE_URL: 'postgres://lab:${secret:DB_PASSWORD}@db'}")
    text = "".join(terraform.render(settings).values())
    assert "c4n4ry" not in text
    assert "DB_PASSWORD" not in text


def test_every_stack_has_a_separate_state(shipped: Project) -> None:
    backends = {}
    for cloud, env in itertools.product(CLOUDS, ("dev", "staging", "prod")):
        rendered = terraform.render(settings_of(shipped, cloud, env=env))
        backends[cloud, env] = rendered[BACKEND]
        assert set(rendered) == {TFVARS[cloud], BACKEND}
        json.loads(rendered[TFVARS[cloud]])
    assert len(set(backends.values())) == len(backends)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_key_in_a_shared_store_has_project_account_and_region(shipped: Project, cloud: str) -> None:
    """Projects with the same store and key would destroy each other's stacks."""
    store = "terraform.state.store=shared"
    account, other_account = ("123456789012", "other-account")
    overrides = [store, "project.name=lab", f"terraform.account={account}", "terraform.region=here"]
    values = backend(settings_of(shipped, cloud, *overrides))
    location = f"lab/{account}/here/{cloud}/dev"
    assert values.get("prefix", values.get("key")) == (location if cloud == "gcp" else f"{location}.tfstate")
    for override in ("project.name=other", f"terraform.account={other_account}", "terraform.region=there"):
        assert backend(settings_of(shipped, cloud, *overrides, override)) != values


@pytest.mark.parametrize("cloud", CLOUDS)
def test_name_of_the_store_depends_on_project_account_and_region(shipped: Project, cloud: str) -> None:
    name = store_name(settings_of(shipped, cloud))
    assert re.fullmatch(r"[a-z0-9]{3,24}" if cloud == "azure" else r"[a-z0-9-]{3,63}", name)
    others = ("terraform.region=other-region1", "terraform.account=other-account", "project.name=other")
    assert name not in {store_name(settings_of(shipped, cloud, other)) for other in others}
    assert store_name(settings_of(shipped, cloud, "terraform.state.store=mine")) == "mine"
    longest = settings_of(shipped, cloud, f"project.name=a{'-b' * 14}")
    assert len(store_name(longest)) <= (24 if cloud == "azure" else 63)

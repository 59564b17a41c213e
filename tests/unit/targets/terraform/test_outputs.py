"""Terraform's outputs, recorded as configuration."""

from __future__ import annotations

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.config.fields import NO_DIGEST
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.targets.terraform import outputs
from devai_tasks.workspace import state

DIGEST = f"sha256:{'1' * 64}"
OUTPUTS = {
    "registry": "registry.example.org/lab",
    "image": f"registry.example.org/lab/devai-lab@{DIGEST}",
    "url": "https://lab.example.org/",
    "secret_versions": {"JUPYTER_TOKEN": 2},
    "cluster_name": None,
}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_outputs_become_settings_of_the_stack_on_any_machine(project: Project, cloud: str) -> None:
    stack = Stack("dev", cloud)
    outputs.note(project, load(project, stack, environ={}), OUTPUTS)
    known = load(project, stack, environ={})
    assert known.image.registry == "registry.example.org/lab"
    assert known.image.digest == DIGEST
    assert known.terraform.secret_versions == {"JUPYTER_TOKEN": 2}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_image_for_gpus_is_not_used_without_gpus(project: Project, cloud: str) -> None:
    stack = Stack("dev", cloud)
    outputs.note(project, load(project, stack, gpu=True, environ={}), OUTPUTS)
    for gpu, digest in ((True, DIGEST), (False, NO_DIGEST)):
        assert load(project, stack, gpu=gpu, environ={}).image_digest == digest


def test_missing_output_keeps_the_recorded_value(project: Project) -> None:
    stack = Stack("dev", "aws")
    outputs.note(project, load(project, stack, environ={}), OUTPUTS)
    outputs.note(project, load(project, stack, environ={}), {"image": None})
    assert load(project, stack, environ={}).image.digest == DIGEST


def test_planning_keeps_the_digest_of_an_image_pushed_here(project: Project) -> None:
    stack, pushed = Stack("dev", "aws"), f"sha256:{'2' * 64}"
    state.record(project, stack, {"image.digest": pushed, "terraform.secret_versions.JUPYTER_TOKEN": "1"})
    outputs.note(project, load(project, stack, environ={}), OUTPUTS, planning=True)
    known = load(project, stack, environ={})
    assert known.image.digest == pushed
    assert known.terraform.secret_versions == {"JUPYTER_TOKEN": 2}


@pytest.mark.parametrize("gpu", [True, False])
def test_deployed_image_is_known_only_for_its_kind(project: Project, gpu: bool) -> None:
    stack = Stack("dev", "aws")
    settings = load(project, stack, gpu=gpu, environ={})
    assert outputs.known({**OUTPUTS, "gpu": gpu}, settings)[settings.image_digest_key] == DIGEST
    assert settings.image_digest_key not in {
        key for key, value in outputs.known({**OUTPUTS, "gpu": not gpu}, settings).items() if value
    }


@pytest.mark.parametrize(
    ("provider", "values", "home"),
    [
        ("aws", {"file_system": "fs-1", "volumes": {"home": "fs-1::fsap-2"}}, "fs-1::fsap-2"),
        ("azure", {"file_system": "account", "volumes": {"home": "home"}}, "account/home"),
        (
            "gcp",
            {"file_system": "10.0.0.2", "volumes": {"home": "modeInstance/europe-west1-b/lab/home"}},
            "europe-west1-b/lab/home@10.0.0.2",
        ),
        ("aws", {"file_system": None, "volumes": None}, ""),
    ],
)
def test_home_has_the_form_of_its_csi_driver(provider: str, values: dict[str, object], home: str) -> None:
    assert outputs._file_system(values, clouds.WITH_TERRAFORM[provider]) == home  # noqa: SLF001 - without a stack


@pytest.mark.parametrize(("provider", "firewall"), [("aws", "stack"), ("azure", None), ("gcp", "stack")])
def test_firewall_is_recorded_if_the_ingress_creates_the_load_balancer(
    shipped: Project, provider: str, firewall: str | None
) -> None:
    settings = load(shipped, Stack("dev", provider), environ={})
    known = outputs.known({"ingress": {"firewall": "stack", "address_name": None}}, settings)
    assert known.get("ingress.firewall") == firewall
    assert "ingress.address" not in known


def test_address_of_an_ingress_on_google_cloud_is_recorded(shipped: Project) -> None:
    settings = load(shipped, Stack("dev", "gcp"), environ={})
    assert outputs.known({"ingress": {"address_name": "devai-dev"}}, settings) == {"ingress.address": "devai-dev"}

"""Rules between keys."""

from __future__ import annotations

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError


@pytest.mark.parametrize(
    ("stack", "override", "message"),
    [
        ("aws-prod", "network.allowed_cidrs=[0.0.0.0/0]", "your networks: a protected stack must not be open to all"),
        (
            "aws-prod",
            "network.allowed_cidrs=[0.0.0.0/1, 128.0.0.0/1]",
            "a protected stack must not be open to all networks",
        ),
        ("aws-prod", "tls.enabled=false", "true: a protected stack is served over HTTPS only"),
        ("gcp-prod", "ingress.host=", "a host name, such as lab.example.com: HTTPS of a protected"),
        ("local-prod", "network.bind_address=0.0.0.0", "a protected stack must not be published on all addresses"),
        (
            "local-dev",
            "network.bind_address=192.0.2.7",
            "tls.local: true for HTTPS, or tls.proxy: true if your own proxy",
        ),
        ("local-dev", "network.bind_address=0.0.0.0", "127.0.0.1, or tls.local: true for HTTPS"),
        (
            "aws-dev",
            "image.base.source=debootstrap",
            "registry: only stacks on this machine can use a locally built base image",
        ),
        ("aws-dev", "ollama.source=build", "registry: only stacks on this machine can use a locally built Ollama"),
        ("aws-dev", "ollama.mode=host", "container or external: host means Ollama on this machine"),
        ("local-dev", "ollama.mode=external", "external requires ollama.url, the URL of the server"),
        ("aws-dev", "compute.replicas.min=3", "at least 3, which is compute.replicas.min"),
        ("aws-dev", "terraform.region=", "a region, such as eu-central-1"),
        ("azure-dev", "terraform.account=", "the account, subscription or project that this stack belongs to"),
        ("aws-dev", "network.allowed_cidrs=[192.0.2.0/24, 10.0.0.0/8]", "10.0.0.0/8 is private, and cannot connect"),
        ("aws-prod", "network.allowed_cidrs=[0.0.0.0/0.0.0.0]", "is not an IPv4 network; did you mean 0.0.0.0/0?"),
        ("aws-prod", "network.allowed_cidrs=[here]", "'here' is not an IPv4 network, such as 192.0.2.0/24"),
        ("aws-dev", "network.allowed_cidrs=[]", "your networks: without any, the lab cannot be reached"),
        ("gcp-dev", "network.load_balancers=[]", "the load balancer's networks: without any, its requests"),
        ("azure-dev", "network.allowed_cidrs=[172.31.4.0/24]", "172.31.4.0/24 is private, and cannot connect"),
        (
            "aws-dev",
            "ollama={mode: external, url: 'http://10.1.2.3:11434'}",
            "a network that contains 10.1.2.3, the private address in ollama.url",
        ),
        (
            "aws-dev",
            "network.egress_cidrs=[169.254.0.0/16]",
            "169.254.0.0/16 contains 169.254.0.0/16, the metadata service",
        ),
        ("aws-dev", "network.egress_cidrs=[0.0.0.0/0]", "0.0.0.0/0 contains 169.254.0.0/16, the metadata service"),
        ("local-dev", "ports.ollama=8888", "a port other than ports.lab"),
        ("local-dev", "compute={provider: none, platform: simple}", "kubernetes: compute.provider is none"),
    ],
)
def test_invalid_combination_is_refused_with_the_allowed_values(
    shipped: Project, stack: str, override: str, message: str
) -> None:
    cloud, _, environment = stack.partition("-")
    with pytest.raises(ConfigError) as refusal:
        load(shipped, Stack(environment, cloud), [override], environ={})
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "override",
    ["network.allowed_cidrs=[0.0.0.0/0]", "tls.enabled=false", "ingress.host=", "network.bind_address=0.0.0.0"],
)
def test_unprotected_stacks_may_be_open(shipped: Project, override: str) -> None:
    load(shipped, Stack("dev", "aws"), [override], environ={})


@pytest.mark.parametrize("key", ["tls.local", "tls.proxy"])
def test_published_address_is_allowed_with_https(shipped: Project, key: str) -> None:
    load(shipped, Stack("dev", "local"), ["network.bind_address=192.0.2.7", f"{key}=true"], environ={})


def test_every_loopback_address_is_allowed_without_https(shipped: Project) -> None:
    load(shipped, Stack("dev", "local"), ["network.bind_address=127.0.0.5"], environ={})


def test_address_in_a_variable_is_refused_with_the_location_of_its_reference(
    shipped: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_IP", "192.0.2.7")
    with pytest.raises(ConfigError) as refusal:
        load(shipped, Stack("dev", "local"), environ={})
    location = "conf/common/network.yaml:3:17  network.bind_address = ${oc.env:HOST_IP,127.0.0.1}\n"
    assert str(refusal.value).startswith(location)


@pytest.mark.parametrize(
    ("cloud", "overrides"),
    [
        ("aws", ["ollama.url=http://10.1.2.3:11434", "network.egress_cidrs=[10.1.2.0/24]"]),
        ("aws", ["ollama.url=http://198.51.100.7:11434"]),
        ("aws", ["ollama.url=http://ollama.example.com"]),
        ("local", ["ollama.url=http://10.1.2.3:11434"]),
    ],
)
def test_reachable_external_ollama_is_allowed(shipped: Project, cloud: str, overrides: list[str]) -> None:
    load(shipped, Stack("dev", cloud), ["ollama.mode=external", *overrides], environ={})


def test_rules_of_clouds_do_not_apply_to_a_protected_local_stack(shipped: Project) -> None:
    load(shipped, Stack("prod", "local"), ["tls.enabled=false", "network.allowed_cidrs=[0.0.0.0/0]"], environ={})
    load(shipped, Stack("prod", "local"), ["network.allowed_cidrs=[10.0.0.0/8]"], environ={})


DEPLOYED = {"aws": ("store", ""), "azure": ("store", "states"), "gcp": ("store", "")}


@pytest.mark.parametrize("cloud", DEPLOYED)
def test_deployed_stack_keeps_the_store_of_its_state(shipped: Project, cloud: str) -> None:
    store, group = DEPLOYED[cloud]
    deployed = [f"terraform.deployed.store={store}", f"terraform.deployed.group={group}"]
    configured = [f"terraform.state.store={store}", f"terraform.state.group={group}"]
    stack = Stack("dev", cloud)
    load(shipped, stack, [*deployed, *configured], environ={})
    for key, value, before in (("store", "another", store), ("group", "another", group), ("store", "", store)):
        if not before:
            continue
        with pytest.raises(ConfigError) as refusal:
            load(shipped, stack, [*deployed, *configured, f"terraform.state.{key}={value}"], environ={})
        assert f"{cloud}-dev is deployed with {before} and would be created twice" in str(refusal.value)
        down = f"`inv down --env=dev --cloud={cloud} --set=terraform.state.{key}={before}` [DEVAI-TF-003]"
        assert f"restore that value, or first run {down}" in str(refusal.value)


@pytest.mark.parametrize("cloud", DEPLOYED)
def test_changed_region_is_reported_without_the_store_derived_from_it(shipped: Project, cloud: str) -> None:
    stack = Stack("dev", cloud)
    before = load(shipped, stack, environ={})
    cloud_rules = clouds.terraform_of(before)
    deployed = [
        f"terraform.deployed.store={cloud_rules.store_name(before)}",
        f"terraform.deployed.group={cloud_rules.store_group(before)}",
        f"terraform.deployed.region={before.terraform.region}",
    ]
    load(shipped, stack, deployed, environ={})
    with pytest.raises(ConfigError) as refusal:
        load(shipped, stack, [*deployed, "terraform.region=elsewhere1"], environ={})
    assert "terraform.region = elsewhere1" in str(refusal.value)
    assert "terraform.state" not in str(refusal.value)

"""Sizes that the clouds' managed containers do not offer are refused with the nearest one; limits of sizes."""

from __future__ import annotations

import pytest
from harness.settings import load

from devai_tasks.clouds import aws, sizes
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.config.units import Cpu, Size
from devai_tasks.system.errors import ConfigError


def refusal(project: Project, cloud: str, lab: str, ollama: str = "", *others: str) -> str:
    """Return the refusal of `cpu memory` pairs for managed containers; empty if the pairs are offered."""
    overrides = ["compute.platform=simple", *others]
    for name, pair in (("lab", lab), ("ollama", ollama)):
        if pair:
            cpu, memory = pair.split()
            overrides += [f"resources.{name}.cpu={cpu}", f"resources.{name}.memory={memory}"]
    if not ollama:
        overrides += ["ollama.mode=external", "ollama.url=http://192.0.2.7:1"]
    try:
        load(project, Stack("dev", cloud), overrides, environ={})
    except ConfigError as error:
        return str(error)
    return ""


# From each row of the table of Fargate: smallest, largest and an intermediate size.
FARGATE = [
    "250m 512Mi", "250m 1Gi", "250m 2Gi", "500m 1Gi", "500m 4Gi", "1 2Gi", "1 8Gi", "2 4Gi", "2 16Gi", "4 8Gi",
    "4 30Gi", "8 16Gi", "8 20Gi", "8 60Gi", "16 32Gi", "16 40Gi", "16 120Gi",
]  # fmt: skip


@pytest.mark.parametrize("pair", FARGATE)
def test_fargate_accepts_every_pair_of_its_table(shipped: Project, pair: str) -> None:
    assert refusal(shipped, "aws", pair) == ""


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [
        ("250m 3Gi", "250m CPU with 2Gi"),
        ("300m 1Gi", "250m CPU with 1Gi"),
        ("1 1Gi", "500m CPU with 1Gi"),
        ("2 3Gi", "2 CPU with 4Gi"),
        ("4 31Gi", "4 CPU with 30Gi"),
        ("8 18Gi", "8 CPU with 20Gi"),
        ("32 120Gi", "16 CPU with 120Gi"),
        ("2 4500Mi", "2 CPU with 4Gi"),
    ],
)
def test_fargate_refuses_other_pairs_with_the_nearest_one(shipped: Project, pair: str, nearest: str) -> None:
    message = refusal(shipped, "aws", pair)
    assert f"Fargate's nearest is {nearest}" in message
    assert message.startswith("--set resources.lab.memory=")


def test_fargate_task_has_the_sum_of_both_containers(shipped: Project) -> None:
    assert refusal(shipped, "aws", "2 4Gi", "2 8Gi") == ""
    message = refusal(shipped, "aws", "2 4Gi", "1 8Gi")
    assert "resources.lab and resources.ollama add up to 3 CPU with 12Gi" in message


# From Google's table: the largest memory for each number of cores, and the smallest for several cores.
CLOUD_RUN = ["1 512Mi", "1 4Gi", "2 8Gi", "4 2Gi", "4 16Gi", "6 4Gi", "6 24Gi", "8 4Gi", "8 32Gi"]


@pytest.mark.parametrize("pair", CLOUD_RUN)
def test_cloud_run_accepts_every_pair_of_its_table(shipped: Project, pair: str) -> None:
    assert refusal(shipped, "gcp", pair) == ""


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [
        ("500m 512Mi", "1 CPU with 512Mi"),
        ("1 5Gi", "2 CPU with 5Gi"),
        ("2 9Gi", "4 CPU with 9Gi"),
        ("3 8Gi", "4 CPU with 8Gi"),
        ("4 1Gi", "4 CPU with 2Gi"),
        ("8 33Gi", "8 CPU with 32Gi"),
        ("1 256Mi", "1 CPU with 512Mi"),
    ],
)
def test_cloud_run_refuses_other_pairs_with_the_nearest_one(shipped: Project, pair: str, nearest: str) -> None:
    assert f"is not offered by Cloud Run; the nearest is {nearest}" in refusal(shipped, "gcp", pair)


def test_cloud_run_instance_has_the_sum_of_both_containers(shipped: Project) -> None:
    assert refusal(shipped, "gcp", "4 8Gi", "4 16Gi") == ""
    assert "an instance of Cloud Run has 8 CPU with 32Gi at most" in refusal(shipped, "gcp", "4 8Gi", "6 8Gi")


@pytest.mark.parametrize("pair", ["1 1Gi", "1500m 1536Mi", "4 16Gi", "2 3Gi"])
def test_container_instances_accept_any_pair_within_their_limits(shipped: Project, pair: str) -> None:
    assert refusal(shipped, "azure", pair) == ""


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [("500m 1Gi", "1 CPU with 1Gi"), ("5 8Gi", "4 CPU with 8Gi"), ("2 17Gi", "2 CPU with 16Gi"), ("1 512Mi", "1Gi")],
)
def test_container_instances_refuse_other_pairs_with_their_limits(shipped: Project, pair: str, nearest: str) -> None:
    message = refusal(shipped, "azure", pair)
    assert "Container Instances offers 1 CPU with 1Gi to 4 CPU with 16Gi" in message
    assert nearest in message


def test_container_instances_require_memory_in_steps(shipped: Project) -> None:
    assert "in steps of 0.1Gi" in refusal(shipped, "azure", "2 1200Mi")


def test_task_with_a_gpu_runs_on_an_instance_and_may_have_any_pair(shipped: Project) -> None:
    overrides = ["compute.platform=simple", "gpu.enabled=true", "resources.lab.cpu=3", "resources.lab.memory=13Gi"]
    assert load(shipped, Stack("dev", "aws"), overrides, environ={}).resources.lab.cpu.millicores == 3000


def test_container_instances_have_no_gpu(shipped: Project) -> None:
    message = refusal(shipped, "azure", "2 4Gi", "2 8Gi", "gpu.enabled=true")
    assert "Container Instances no longer offers GPUs; for GPUs, set compute.platform: kubernetes" in message
    assert refusal(shipped, "aws", "2 4Gi", "2 8Gi", "gpu.enabled=true") == ""


@pytest.mark.parametrize(("cloud", "minimum"), [("gcp", "1Ti"), ("azure", "100Gi")])
def test_home_below_the_minimum_of_its_service_is_refused(shipped: Project, cloud: str, minimum: str) -> None:
    stack = Stack("dev", cloud)
    with pytest.raises(ConfigError, match=f"at least {minimum}"):
        load(shipped, stack, ["storage.home=99Gi"], environ={})
    assert load(shipped, stack, [f"storage.home={minimum}"], environ={}).storage.home == Size.parse(minimum)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [("1100Gi", "1Ti or 1280Gi"), ("9900Gi", "9728Gi or 9984Gi"), ("11Ti", "10Ti or 12800Gi"), ("1281Gi", "1280Gi or")],
)
def test_protected_home_between_steps_of_filestore_is_refused(shipped: Project, size: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"{nearest}.*the regional tier of Filestore"):
        load(shipped, Stack("prod", "gcp"), [f"storage.home={size}"], environ={})
    # Any size is valid in the basic tier, and as the threshold of an alarm.
    load(shipped, Stack("dev", "gcp"), [f"storage.home={size}"], environ={})
    containers = ["compute.platform=simple", "resources.ollama.cpu=4", f"storage.home={size}"]
    load(shipped, Stack("prod", "gcp"), containers, environ={})


@pytest.mark.parametrize("size", ["1Ti", "1280Gi", "9984Gi", "10Ti", "12800Gi"])
def test_protected_home_may_have_every_size_of_filestore(shipped: Project, size: str) -> None:
    assert load(shipped, Stack("prod", "gcp"), [f"storage.home={size}"], environ={}).storage.home == Size.parse(size)


def test_nearest_pair_is_an_offered_one() -> None:
    pairs = aws.fargate()
    assert len(pairs) == 3 + 4 + 7 + 13 + 23 + 12 + 12
    for pair in pairs:
        assert sizes.nearest(pair, pairs) == pair
    assert sizes.nearest((Cpu(1), Size(1)), pairs) == pairs[0]

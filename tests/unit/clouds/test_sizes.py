"""What the clouds' simple platforms don't offer is refused with the nearest that they do; units at their edges."""

from __future__ import annotations

import pytest
from harness.settings import load

from devai_tasks.clouds import aws, sizes
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.config.units import Cpu, Size
from devai_tasks.system.errors import ConfigError


def refusal(project: Project, cloud: str, lab: str, ollama: str = "", *more: str) -> str:
    """What is said of `cpu memory` pairs on a simple platform; nothing where they are offered."""
    overrides = ["compute.platform=simple", *more]
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


# AWS's table: each line's least, its most, and a step between.
FARGATE = [
    "250m 512Mi", "250m 1Gi", "250m 2Gi", "500m 1Gi", "500m 4Gi", "1 2Gi", "1 8Gi", "2 4Gi", "2 16Gi", "4 8Gi",
    "4 30Gi", "8 16Gi", "8 20Gi", "8 60Gi", "16 32Gi", "16 40Gi", "16 120Gi",
]  # fmt: skip


@pytest.mark.parametrize("pair", FARGATE)
def test_fargate_takes_every_pair_of_its_table(shipped: Project, pair: str) -> None:
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
def test_fargate_names_its_nearest_pair(shipped: Project, pair: str, nearest: str) -> None:
    message = refusal(shipped, "aws", pair)
    assert f"Fargate's nearest is {nearest}" in message
    assert message.startswith("--set resources.lab.memory=")


def test_a_task_of_fargate_has_both_containers(shipped: Project) -> None:
    assert refusal(shipped, "aws", "2 4Gi", "2 8Gi") == ""
    message = refusal(shipped, "aws", "2 4Gi", "1 8Gi")
    assert "resources.lab and resources.ollama add up to 3 CPU with 12Gi" in message


# Google's table: the most that goes with each number of cores, and the least of larger ones.
CLOUD_RUN = ["1 512Mi", "1 4Gi", "2 8Gi", "4 2Gi", "4 16Gi", "6 4Gi", "6 24Gi", "8 4Gi", "8 32Gi"]


@pytest.mark.parametrize("pair", CLOUD_RUN)
def test_cloud_run_takes_every_pair_of_its_table(shipped: Project, pair: str) -> None:
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
def test_cloud_run_names_its_nearest_pair(shipped: Project, pair: str, nearest: str) -> None:
    assert f"is not offered by Cloud Run; the nearest is {nearest}" in refusal(shipped, "gcp", pair)


def test_cloud_runs_containers_share_one_instance(shipped: Project) -> None:
    assert refusal(shipped, "gcp", "4 8Gi", "4 16Gi") == ""
    assert "an instance of Cloud Run has 8 CPU with 32Gi at most" in refusal(shipped, "gcp", "4 8Gi", "6 8Gi")


@pytest.mark.parametrize("pair", ["1 1Gi", "1500m 1536Mi", "4 16Gi", "2 3Gi"])
def test_container_instances_take_any_pair_between_their_bounds(shipped: Project, pair: str) -> None:
    assert refusal(shipped, "azure", pair) == ""


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [("500m 1Gi", "1 CPU with 1Gi"), ("5 8Gi", "4 CPU with 8Gi"), ("2 17Gi", "2 CPU with 16Gi"), ("1 512Mi", "1Gi")],
)
def test_container_instances_name_their_bounds(shipped: Project, pair: str, nearest: str) -> None:
    message = refusal(shipped, "azure", pair)
    assert "Container Instances offers 1 CPU with 1Gi to 4 CPU with 16Gi" in message
    assert nearest in message


def test_container_instances_count_memory_in_tenths_of_a_gb(shipped: Project) -> None:
    assert "in steps of 0.1Gi" in refusal(shipped, "azure", "2 1200Mi")


def test_a_task_with_a_gpu_is_on_a_machine_of_its_own_and_not_bound_to_fargates_pairs(shipped: Project) -> None:
    overrides = ["compute.platform=simple", "gpu.enabled=true", "resources.lab.cpu=3", "resources.lab.memory=13Gi"]
    assert load(shipped, Stack("dev", "aws"), overrides, environ={}).resources.lab.cpu.millicores == 3000


def test_container_instances_have_no_gpu(shipped: Project) -> None:
    message = refusal(shipped, "azure", "2 4Gi", "2 8Gi", "gpu.enabled=true")
    assert "Container Instances no longer offers GPUs; for GPUs, set compute.platform: kubernetes" in message
    assert refusal(shipped, "aws", "2 4Gi", "2 8Gi", "gpu.enabled=true") == ""


@pytest.mark.parametrize(("cloud", "least"), [("gcp", "1Ti"), ("azure", "100Gi")])
def test_a_home_smaller_than_its_service_offers_is_refused_with_the_least(
    shipped: Project, cloud: str, least: str
) -> None:
    stack = Stack("dev", cloud)
    with pytest.raises(ConfigError, match=f"at least {least}"):
        load(shipped, stack, ["storage.home=99Gi"], environ={})
    assert load(shipped, stack, [f"storage.home={least}"], environ={}).storage.home == Size.parse(least)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [("1100Gi", "1Ti or 1280Gi"), ("9900Gi", "9728Gi or 9984Gi"), ("11Ti", "10Ti or 12800Gi"), ("1281Gi", "1280Gi or")],
)
def test_a_protected_home_between_the_steps_of_filestore_is_refused_with_the_nearest(
    shipped: Project, size: str, nearest: str
) -> None:
    with pytest.raises(ConfigError, match=f"{nearest}.*the regional tier of Filestore"):
        load(shipped, Stack("prod", "gcp"), [f"storage.home={size}"], environ={})
    # A basic one, and a threshold of an alarm, may have any size.
    load(shipped, Stack("dev", "gcp"), [f"storage.home={size}"], environ={})
    simple = ["compute.platform=simple", "resources.ollama.cpu=4", f"storage.home={size}"]
    load(shipped, Stack("prod", "gcp"), simple, environ={})


@pytest.mark.parametrize("size", ["1Ti", "1280Gi", "9984Gi", "10Ti", "12800Gi"])
def test_a_protected_home_has_a_size_of_filestore(shipped: Project, size: str) -> None:
    assert load(shipped, Stack("prod", "gcp"), [f"storage.home={size}"], environ={}).storage.home == Size.parse(size)


def test_the_nearest_pair_is_an_offered_one() -> None:
    pairs = aws.fargate()
    assert len(pairs) == 3 + 4 + 7 + 13 + 23 + 12 + 12
    for pair in pairs:
        assert sizes.nearest(pair, pairs) == pair
    assert sizes.nearest((Cpu(1), Size(1)), pairs) == pairs[0]

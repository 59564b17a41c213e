"""What the clouds' simple platforms offer: pairs of CPU and memory, and the least sizes of file systems.

Sources, read in November 2026:
AWS, "Amazon ECS task definition parameters for Fargate", task size.
Google, "Configure CPU limits" and "Configure memory limits" for Cloud Run services.
Google, "Filestore: create an instance", instance sizes.
Azure, "Resource availability and quota limits" and "Container groups" for Container Instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from devai_tasks.config.units import Cpu, Size

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings

Pair = tuple[Cpu, Size]

_GI = 2**30

# Fargate: cores in thousandths, and the memory in GiB that goes with them.
_FARGATE: dict[int, Iterable[float]] = {
    250: (0.5, 1, 2),
    500: range(1, 5),
    1000: range(2, 9),
    2000: range(4, 17),
    4000: range(8, 31),
    8000: range(16, 61, 4),
    16000: range(32, 121, 8),
}
# Cloud Run with CPU always allocated, in GiB: the least that goes with these cores, and the most.
_CLOUD_RUN = {1000: (0.5, 4), 2000: (0.5, 8), 4000: (2, 16), 6000: (4, 24), 8000: (4, 32)}
# One instance of Cloud Run has no more than this, whatever the number of its containers.
_CLOUD_RUN_INSTANCE = (Cpu(8000), Size(32 * _GI))
# What Container Instances has in every region, for a whole group, and the least of one.
_CONTAINER_GROUP = (Cpu(4000), Size(16 * _GI))
_CONTAINER_GROUP_LEAST = (Cpu(1000), Size(_GI))

# Filestore's basic and regional tiers begin there, and premium Azure Files; EFS has no size at all.
LEAST_HOME = {"gcp": Size(2**40), "azure": Size(100 * _GI)}
HOME_SERVICE = {"gcp": "Filestore", "azure": "a premium share of Azure Files"}
# In which steps Filestore's regional tier grows, which protected stacks have: in GiB, and from 10 TiB on. Who was given
# its small instances has steps of 1 GiB, which nobody can tell from here.
_REGIONAL_STEPS = (256, 2560)


def simple(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the stack's simple platform doesn't offer of its resources, each with the nearest that it does."""
    lab = settings.resources.lab.cpu, settings.resources.lab.memory
    ollama = settings.resources.ollama.cpu, settings.resources.ollama.memory
    both = [("lab", lab), ("ollama", ollama)] if settings.ollama.mode == "container" else [("lab", lab)]
    total = _sum(pair for _, pair in both)
    key = ("resources", "lab", "memory")
    together = " and ".join(f"resources.{name}" for name, _ in both)
    match settings.compute.provider:
        case "aws":
            # Fargate has no GPUs: with them the task runs on a machine of the stack's own, gpu.machine_type.
            if not settings.gpu.enabled and total not in (pairs := fargate()):
                yield key, f"{together} come to {_text(total)}; Fargate's nearest is {_text(nearest(total, pairs))}"
        case "azure":
            if refusal := _container_group(total):
                yield key, f"{together} come to {_text(total)}; {refusal}"
            if settings.gpu.enabled:
                yield (
                    ("gpu", "enabled"),
                    "false: Container Instances has no GPUs any more; compute.platform: kubernetes",
                )
        case _:
            for name, pair in both:
                if (offered := cloud_run(pair)) != pair:
                    yield (
                        ("resources", name, "memory"),
                        f"{_text(pair)} is not offered by Cloud Run; the nearest is {_text(offered)}",
                    )
            if total[0] > _CLOUD_RUN_INSTANCE[0] or total[1] > _CLOUD_RUN_INSTANCE[1]:
                most = _text(_CLOUD_RUN_INSTANCE)
                yield key, f"{together} come to {_text(total)}; an instance of Cloud Run has {most} at most"


def home(settings: Settings) -> str | None:
    """What the file system of a cluster's home offers instead of its size; None where it offers that."""
    provider, size = settings.compute.provider, settings.storage.home
    least = LEAST_HOME.get(provider)
    if least and size < least:
        return f"at least {least}: {HOME_SERVICE[provider]} has no less"
    step = _REGIONAL_STEPS[size.whole_gib >= 10 * 1024]
    if provider == "gcp" and settings.protected and (rest := size.whole_gib % step):
        below, above = (Size((size.whole_gib - rest + more) * _GI) for more in (0, step))
        return f"{below} or {above}: Filestore's regional tier grows in steps of {step}Gi"
    return None


def fargate() -> list[Pair]:
    """Every pair that Fargate offers, for a task with all its containers."""
    return [(Cpu(cpu), Size(int(size * _GI))) for cpu, sizes in _FARGATE.items() for size in sizes]


def cloud_run(pair: Pair) -> Pair:
    """The pair itself where Cloud Run offers it for a container, else the nearest one."""
    cpu = min(
        (Cpu(cores) for cores in _CLOUD_RUN), key=lambda offered: _distance(offered.millicores, pair[0].millicores)
    )
    least, most = (Size(int(bound * _GI)) for bound in _CLOUD_RUN[cpu.millicores])
    if pair[0] == cpu and pair[1] > most:
        # Memory is what people size by: more of it comes with more cores.
        roomy = [cores for cores, bounds in _CLOUD_RUN.items() if pair[1].bytes <= bounds[1] * _GI]
        return (Cpu(roomy[0]), pair[1]) if roomy else (Cpu(8000), Size(32 * _GI))
    return cpu, min(max(pair[1], least), most)


def nearest(pair: Pair, pairs: Iterable[Pair]) -> Pair:
    """The offered pair that is most like another: cores and memory count alike, by their ratio."""
    return min(
        pairs,
        key=lambda offered: (
            _distance(offered[0].millicores, pair[0].millicores) + _distance(offered[1].bytes, pair[1].bytes)
        ),
    )


def _container_group(total: Pair) -> str | None:
    most, least = _CONTAINER_GROUP, _CONTAINER_GROUP_LEAST
    fitting = (
        min(max(total[0], least[0]), most[0]),
        # In tenths of a GB, as the service counts them.
        Size(round(min(max(total[1], least[1]), most[1]).bytes / _GI * 10) * _GI // 10),
    )
    if fitting == total or (fitting[0] == total[0] and fitting[1].gib == total[1].gib):
        return None
    return f"Container Instances offers {_text(least)} to {_text(most)}, in steps of 0.1Gi: {_text(fitting)}"


def _sum(pairs: Iterable[Pair]) -> Pair:
    cpus, sizes = zip(*pairs, strict=True)
    return Cpu(sum(cpu.millicores for cpu in cpus)), Size(sum(size.bytes for size in sizes))


def _distance(one: int, other: int) -> float:
    return max(one, other) / min(one, other)


def _text(pair: Pair) -> str:
    return f"{pair[0]} CPU with {pair[1]}"

"""Pairs of CPU and memory that managed containers offer."""

from __future__ import annotations

from collections.abc import Iterable

from devai_tasks.config.schema import Settings
from devai_tasks.config.units import Cpu, Size

Pair = tuple[Cpu, Size]
GI = 2**30


def of_containers(settings: Settings) -> dict[str, Pair]:
    """Return the limits of the stack's containers, by their key in `resources`."""
    lab, ollama = settings.resources.lab, settings.resources.ollama
    requested = {"lab": (lab.cpu, lab.memory)}
    if settings.ollama.mode == "container":
        requested["ollama"] = (ollama.cpu, ollama.memory)
    return requested


def total(pairs: Iterable[Pair]) -> Pair:
    """Return the sum of pairs."""
    cpus, sizes = zip(*pairs, strict=True)
    return Cpu(sum(cpu.millicores for cpu in cpus)), Size(sum(size.bytes for size in sizes))


def nearest(pair: Pair, pairs: Iterable[Pair]) -> Pair:
    """Return the offered pair that is nearest to `pair`; CPU and memory have equal weight, by their ratios."""
    return min(
        pairs,
        key=lambda offered: (
            distance(offered[0].millicores, pair[0].millicores) + distance(offered[1].bytes, pair[1].bytes)
        ),
    )


def distance(left: int, right: int) -> float:
    """Return the ratio of the larger number to the smaller one."""
    return max(left, right) / min(left, right)


def text(pair: Pair) -> str:
    """Return a pair as text for messages."""
    return f"{pair[0]} CPU with {pair[1]}"


def sum_text(names: Iterable[str], requested: Pair) -> str:
    """Return the beginning of a message about the sum of all containers of a stack."""
    return f"{' and '.join(f'resources.{name}' for name in names)} add up to {text(requested)}"

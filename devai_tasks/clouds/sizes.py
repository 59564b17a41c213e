"""Pairs of CPU and memory, as platforms of managed containers offer them."""

from __future__ import annotations

from collections.abc import Iterable

from devai_tasks.config.schema import Settings
from devai_tasks.config.units import Cpu, Size

Pair = tuple[Cpu, Size]
GI = 2**30


def of_containers(settings: Settings) -> dict[str, Pair]:
    """Return what the containers of a stack ask for, by their key below `resources`."""
    lab, ollama = settings.resources.lab, settings.resources.ollama
    asked = {"lab": (lab.cpu, lab.memory)}
    if settings.ollama.mode == "container":
        asked["ollama"] = (ollama.cpu, ollama.memory)
    return asked


def total(pairs: Iterable[Pair]) -> Pair:
    """Return the sum of pairs."""
    cpus, sizes = zip(*pairs, strict=True)
    return Cpu(sum(cpu.millicores for cpu in cpus)), Size(sum(size.bytes for size in sizes))


def nearest(pair: Pair, pairs: Iterable[Pair]) -> Pair:
    """Return the offered pair that is most like another: cores and memory count alike, by their ratio."""
    return min(
        pairs,
        key=lambda offered: (
            distance(offered[0].millicores, pair[0].millicores) + distance(offered[1].bytes, pair[1].bytes)
        ),
    )


def distance(one: int, other: int) -> float:
    """Return how far two numbers are apart, as a ratio."""
    return max(one, other) / min(one, other)


def text(pair: Pair) -> str:
    """Return a pair as messages show it."""
    return f"{pair[0]} CPU with {pair[1]}"


def together(names: Iterable[str], asked: Pair) -> str:
    """Return the beginning of a message about all containers of a stack."""
    return f"{' and '.join(f'resources.{name}' for name in names)} come to {text(asked)}"

"""What `config.explain` says of a key: for people and for programs."""

from __future__ import annotations

from typing import Any

from devai_tasks.config.configuration import Configuration, Explanation, Origin
from devai_tasks.config.document import Key
from devai_tasks.targets.base import by_target


def text(configuration: Configuration, key: Key) -> str:
    """A few lines: the value, who set it, what that overrode and takes in, and what it reaches."""
    explanation = configuration.explain(key)
    lines = [f"{explanation.key} = {explanation.value}", *_origins(explanation), *_taken(explanation, 1)]
    lines += [
        f"  reaches    generated/{configuration.settings.stack}/{target}/{file}"
        for target, files in by_target(configuration.affected(key)).items()
        for file in files
    ]
    if decides := configuration.tasks(key):
        lines.append(f"  decides    {decides}")
    elif not configuration.affected(key):
        lines.append("  reaches    nothing in this stack")
    return "\n".join(lines)


def _origins(explanation: Explanation) -> list[str]:
    labels = ["  set in    ", *["  overrides "] * len(explanation.origins)]
    return [f"{label} {_origin(origin)}" for label, origin in zip(labels, explanation.origins, strict=False)]


def _taken(explanation: Explanation, depth: int) -> list[str]:
    lines = []
    for taken in explanation.takes:
        origin = f"   {_origin(taken.origins[0])}" if taken.origins else ""
        lines.append(f"{'  ' * depth}takes in   {taken.key} = {taken.value}{origin}")
        lines += _taken(taken, depth + 1)
    return [*lines, *(f"{'  ' * depth}takes in   {outside}" for outside in explanation.outside)]


def _origin(origin: Origin) -> str:
    place = origin.place if origin.place.startswith(origin.layer) else f"{origin.layer} ({origin.place})"
    return f"{place}   {origin.written}".rstrip()


def plain(configuration: Configuration, key: Key) -> dict[str, Any]:
    """The same as plain values."""
    return {
        **_plain(configuration.explain(key)),
        "reaches": by_target(configuration.affected(key)),
        "decides": configuration.tasks(key),
    }


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "key": explanation.key,
        "value": explanation.value,
        "origins": [vars(origin) for origin in explanation.origins],
        "takes": [_plain(taken) for taken in explanation.takes],
        "outside": list(explanation.outside),
    }

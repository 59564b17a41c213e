"""Provenance of a key, for `config.explain`: as text, and as plain values for `--json`."""

from __future__ import annotations

from typing import Any

from devai_tasks.config.configuration import Configuration, Explanation, Origin
from devai_tasks.config.document import Key
from devai_tasks.targets.base import by_target


def text(configuration: Configuration, key: Key) -> str:
    """Return lines with the value, its origin, what it overrides and refers to, and which files it affects."""
    explanation = configuration.explain(key)
    lines = [f"{explanation.key} = {explanation.value}", *_origins(explanation), *_references(explanation, 1)]
    lines += [
        f"  affects    generated/{configuration.settings.stack}/{target}/{file}"
        for target, files in by_target(configuration.affected(key)).items()
        for file in files
    ]
    if decides := configuration.tasks(key):
        lines.append(f"  decides    {decides}")
    elif not configuration.affected(key):
        lines.append("  affects    nothing in this stack")
    return "\n".join(lines)


def _origins(explanation: Explanation) -> list[str]:
    labels = ["  set in    ", *["  overrides "] * len(explanation.origins)]
    return [f"{label} {_origin(origin)}" for label, origin in zip(labels, explanation.origins, strict=False)]


def _references(explanation: Explanation, depth: int) -> list[str]:
    lines = []
    for reference in explanation.takes:
        origin = f"   {_origin(reference.origins[0])}" if reference.origins else ""
        lines.append(f"{'  ' * depth}refers to  {reference.key} = {reference.value}{origin}")
        lines += _references(reference, depth + 1)
    return [*lines, *(f"{'  ' * depth}refers to  {outside}" for outside in explanation.outside)]


def _origin(origin: Origin) -> str:
    place = origin.place if origin.place.startswith(origin.layer) else f"{origin.layer} ({origin.place})"
    return f"{place}   {origin.written}".rstrip()


def plain(configuration: Configuration, key: Key) -> dict[str, Any]:
    """Return the provenance as plain values, for `--json`."""
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
        "takes": [_plain(reference) for reference in explanation.takes],
        "outside": list(explanation.outside),
    }

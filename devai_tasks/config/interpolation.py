"""What a text takes in by OmegaConf's `${key}` and `${resolver:argument}`, as OmegaConf itself reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Names that are written out; OmegaConf would also take computed ones, such as `${${a}:b}`, and `${a[b]}`.
_PLAIN = re.compile(r"\.*[^\s.$\[\]{}:]+(\.[^\s.$\[\]{}:]+)*")


@dataclass(frozen=True)
class Interpolation:
    """`${name}`, or `${name:argument,…}` with its first argument as it is written."""

    name: str
    argument: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the name is written out, so that what is taken in can be told without resolving anything."""
        return bool(_PLAIN.fullmatch(self.name))


@lru_cache(maxsize=1024)
def interpolations(text: str) -> tuple[Interpolation, ...]:
    """Return all that a text takes in, nested ones included.

    Raises:
        GrammarParseError: OmegaConf could not read the text, either.
    """
    if "${" not in text:
        return ()
    # With a parser by its own grammar: what is escaped and what is not differs within quotes and arguments.
    from omegaconf.grammar_parser import parse

    return tuple(_below(parse(text)))


def _below(node: Any) -> Iterator[Interpolation]:
    children = getattr(node, "children", None) or ()
    match type(node).__name__:
        case "InterpolationNodeContext":
            yield Interpolation("".join(child.getText() for child in children[1:-1]).strip())
        case "InterpolationResolverContext":
            arguments = node.sequence()
            first = arguments.getChild(0).getText() if arguments and arguments.getChildCount() else ""
            yield Interpolation(node.resolverName().getText().strip(), first.strip())
    for child in children:
        yield from _below(child)

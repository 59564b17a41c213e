"""Parser for the interpolations `${key}` and `${resolver:argument}`, by OmegaConf's own grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Literal names; OmegaConf also accepts computed ones, such as `${${a}:b}`, and `${a[b]}`.
_LITERAL = re.compile(r"\.*[^\s.$\[\]{}:]+(\.[^\s.$\[\]{}:]+)*")


@dataclass(frozen=True)
class Interpolation:
    """`${name}`, or `${name:argument,…}` with the unparsed text of its first argument."""

    name: str
    argument: str | None = None

    @property
    def is_literal(self) -> bool:
        """Whether the name is literal, so that its target is known without resolving it."""
        return bool(_LITERAL.fullmatch(self.name))


@lru_cache(maxsize=1024)
def interpolations(text: str) -> tuple[Interpolation, ...]:
    """Return all interpolations in a text, including nested ones.

    Raises:
        GrammarParseError: The text is invalid for OmegaConf, too.
    """
    if "${" not in text:
        return ()
    # OmegaConf's own parser is needed because escaping differs within quotes and arguments.
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

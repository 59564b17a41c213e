"""YAML without surprises: scalars as they were written, and the place of everything.

PyYAML composes the tree but resolves nothing, so `1.10`, `0123`, `12:30` and `on` stay the text that they look like;
the schema alone decides what a scalar means. Only a plain `null`, `~` or nothing is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from devai_tasks.errors import ConfigError, Problem

Tree = dict[str, "Tree"] | list["Tree"] | str | None
Key = tuple[str | int, ...]

# Far above any real configuration, far below what nested aliases ("billion laughs") expand to.
MAX_NODES = 10_000
_YAML_TAGS = "tag:yaml.org,2002:"


@dataclass
class Document:
    """What a YAML file says, and where: `places` maps the key of each node to `file:line:column`."""

    tree: dict[str, Tree]
    places: dict[Key, str] = field(default_factory=dict)


def read(file: Path, name: str) -> Document:
    """Read the mapping in a YAML file, called `name` in messages.

    Raises ConfigError for what is no UTF-8, no YAML, no mapping, or holds a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(name, "can't be read", str(error))]) from error
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """As `read`, from text."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError([Problem(place, "not valid YAML", str(error.problem or error.context))]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(name, "not valid YAML", " ".join(str(error).split()))]) from error
    except (OverflowError, ValueError) as error:  # "\\UFFFFFFFF"
        raise ConfigError([Problem(name, "not valid YAML", "an escape stands for no character")]) from error
    except RecursionError as error:
        raise ConfigError([Problem(name, "nested too deep", "sections hold sections, a few levels deep")]) from error
    if root is None:
        raise ConfigError([Problem(name, "is empty", "give it a section, or remove the file")])
    if not isinstance(root, yaml.MappingNode):
        place = f"{name}:{root.start_mark.line + 1}:{root.start_mark.column + 1}"
        raise ConfigError(
            [Problem(place, "not a mapping", "a file is sections and keys, such as `ports: {lab: 8888}`")]
        )
    return _Walk(name).document(root)


def parse_value(text: str) -> Tree:
    """The value in `--set key=VALUE`: lists, maps and quoted strings in YAML's flow style; all else as it stands.

    Raises ConfigError for a list, map or string that is not closed.
    """
    if text[:1] in ("[", "{", '"', "'"):
        return parse(f"value: {text}", "value").tree["value"]
    return text


class _Walk:
    """One pass over the nodes of a document."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.document_ = Document({})
        self.problems: list[Problem] = []
        self.count = 0
        self.open: set[int] = set()

    def document(self, root: yaml.MappingNode) -> Document:
        self.open.add(id(root))
        self.document_.tree = self.mapping(root, ())
        if self.problems:
            raise ConfigError(self.problems)
        return self.document_

    def place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def refuse(self, node: yaml.Node, found: str, remedy: str) -> None:
        self.problems.append(Problem(self.place(node), found, remedy))

    def tree(self, node: yaml.Node, key: Key) -> Tree:
        self.document_.places.setdefault(key, self.place(node))
        self.count += 1
        if self.count > MAX_NODES or id(node) in self.open:
            self.refuse(node, "an alias that expands without end", f"a file may hold {MAX_NODES} values at most")
            raise ConfigError(self.problems)
        if not node.tag.startswith(_YAML_TAGS):
            self.refuse(node, node.tag, "tags have no meaning here")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                return [self.tree(item, (*key, index)) for index, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode) and node.tag == f"{_YAML_TAGS}null":
                return None
            return str(node.value)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Tree]:
        result: dict[str, Tree] = {}
        merges = [value for name, value in node.value if name.tag == f"{_YAML_TAGS}merge"]
        # Weakest first, and before the mapping's own keys, so that values and places of the stronger stay.
        merged: dict[str, Tree] = {}
        for base in reversed([base for value in merges for base in self.bases(value)]):
            merged.update(cast("dict[str, Tree]", self.tree(base, key)))
        for name_node, value_node in node.value:
            if name_node.tag == f"{_YAML_TAGS}merge":
                continue
            if not isinstance(name_node, yaml.ScalarNode):
                self.refuse(name_node, "a key that is no text", "keys are plain names")
                continue
            name = str(name_node.value)
            if name in result:
                self.refuse(name_node, name, "stands twice in this mapping; which one is meant?")
                continue
            # The key's own place reads better than the value's, and a null has none.
            self.document_.places[(*key, name)] = self.place(name_node)
            result[name] = self.tree(value_node, (*key, name))
        return merged | result

    def bases(self, node: yaml.Node) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<` names, strongest first."""
        for base in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(base, yaml.MappingNode):
                yield base
            else:
                self.refuse(base, "<<", "merges mappings only")

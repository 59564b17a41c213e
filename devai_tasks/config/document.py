"""YAML without surprises: scalars as they were written, and the place of everything.

PyYAML composes the tree but resolves nothing, so `1.10`, `0123`, `12:30` and `on` stay the text that they look like;
the schema alone decides what a scalar means. Only a plain `null`, `~` or nothing is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from devai_tasks.system.errors import ConfigError, Problem

Tree = dict[str, "Tree"] | list["Tree"] | str | None
Key = tuple[str | int, ...]

# Far above any real configuration, far below what nested aliases ("billion laughs") expand to.
MAX_NODES = 10_000
MAX_BYTES = 2**16
_YAML_TAGS = "tag:yaml.org,2002:"
_RESOLVER = yaml.resolver.Resolver()
# What a node is without a tag; any other was written, and has no meaning here.
_KINDS = ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value")
_PLAIN = {f"{_YAML_TAGS}{kind}" for kind in _KINDS}
_SECRETS = re.compile(r"""\bsecrets["']?\s*:""")


@dataclass
class Document:
    """What a YAML file says, and where.

    `places` maps the key of each node to the `file:line:column` of its value, `names` to that of the key itself.
    """

    tree: dict[str, Tree]
    places: dict[Key, str] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)


# Line breaks in YAML 1.1 and none in 1.2 (its section 5.4).
_SEPARATOR = re.compile("[\x85\u2028\u2029]")


def read(file: Path, name: str) -> Document:
    """Read the mapping in a YAML file, called `name` in messages.

    Raises ConfigError for what is no UTF-8, no YAML, no mapping, or holds a key twice.
    """
    return parse(read_text(file, name), name)


def read_text(file: Path, name: str) -> str:
    """What stands in a file, called `name` in messages. Raises ConfigError for what is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(f"{name}:1:1", "can't be read", str(error))]) from error


def parse(text: str, name: str) -> Document:
    """As `read`, from text."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise ConfigError([Problem(f"{name}:1:1", "too long", f"a file may have {MAX_BYTES // 1024} KiB at most")])
    if separator := _SEPARATOR.search(text):
        place = f"{name}:{_position(text, separator.start())}"
        problem = "breaks a line to some readers of YAML and not to others; in double quotes write it as an escape"
        raise ConfigError([Problem(place, repr(separator[0]), problem)])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"
        problem = f"not valid YAML: {error.problem or error.context}"
        raise ConfigError([Problem(place, _line(text, mark.line if mark else 0), problem)]) from error
    except yaml.reader.ReaderError as error:
        place = f"{name}:{_position(text, error.position)}"
        problem = "not valid YAML: a character that may not stand in it"
        raise ConfigError([Problem(place, repr(chr(error.character)), problem)]) from error
    except (OverflowError, ValueError) as error:  # "\\UFFFFFFFF"
        problem = "not valid YAML: an escape stands for no character"
        raise ConfigError([Problem(f"{name}:1:1", _line(text, 0), problem)]) from error
    except RecursionError as error:
        raise ConfigError(
            [Problem(f"{name}:1:1", _line(text, 0), "nested too deep: sections hold sections, a few levels")]
        ) from error
    if root is None:
        raise ConfigError([Problem(f"{name}:1:1", "is empty", "give it a section, or remove the file")])
    if not isinstance(root, yaml.MappingNode):
        place = f"{name}:{root.start_mark.line + 1}:{root.start_mark.column + 1}"
        raise ConfigError(
            [Problem(place, "not a mapping", "a file is sections and keys, such as `ports: {lab: 8888}`")]
        )
    return _Walk(name).document(root)


def _position(text: str, index: int) -> str:
    """The line and the column of a character."""
    before = text[:index]
    return f"{before.count(chr(10)) + 1}:{index - before.rfind(chr(10))}"


def has_content(text: str) -> bool:
    """Whether a text is more than comments; what is no YAML is."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _line(text: str, number: int) -> str:
    """What stands in a line, to quote it; not where it may be a secret."""
    lines = text.splitlines()
    if any(_SECRETS.search(above) for above in lines[: number + 1]):
        return "at or below `secrets`"
    line = lines[number].strip() if number < len(lines) else ""
    return f"{line[:77]}..." if len(line) > 80 else line or "the end of the text"  # noqa: PLR2004 - a terminal's width


def parse_value(text: str) -> Tree:
    """The value in `--set key=VALUE`: lists, maps and quoted strings in YAML's flow style; all else as it stands.

    Raises ConfigError for a list, map or string that is not closed, or has something behind it.
    """
    if text[:1] not in ("[", "{", '"', "'"):
        return text
    tree = parse(f"value: {text}", "value").tree
    if len(tree) > 1:
        raise ConfigError([Problem("value:1:1", _line(text, 0), "not valid YAML: more than one value")])
    return tree["value"]


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
        self.check_tag(node)
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

    def check_tag(self, node: yaml.Node) -> None:
        """Refuse what was written as a tag: another than the one that the value has by itself."""
        implicit = (not getattr(node, "style", None), False)
        plain = _RESOLVER.resolve(type(node), node.value, implicit)  # type: ignore[no-untyped-call] # its stubs are bare
        if node.tag not in {plain, f"{_YAML_TAGS}str"} or (node.tag not in _PLAIN):
            self.refuse(node, node.tag, "tags have no meaning here")

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Tree]:
        result: dict[str, Tree] = {}
        merges = [(name, value) for name, value in node.value if name.tag == f"{_YAML_TAGS}merge"]
        for name_node, _ in merges[1:]:
            self.refuse(name_node, "<<", "stands twice in this mapping; one takes a list: `<<: [*a, *b]`")
        # Weakest first, and before the mapping's own keys, so that values and places of the stronger stay.
        merged: dict[str, Tree] = {}
        for base in reversed([base for _, value in merges for base in self.bases(value)]):
            merged.update(cast("dict[str, Tree]", self.tree(base, key)))
        for name_node, value_node in node.value:
            if name_node.tag == f"{_YAML_TAGS}merge":
                continue
            if not isinstance(name_node, yaml.ScalarNode):
                self.refuse(name_node, "a key that is no text", "keys are plain names")
                continue
            self.check_tag(name_node)
            name = str(name_node.value)
            if name in result:
                self.refuse(name_node, name, "stands twice in this mapping; which one is meant?")
                continue
            here = (*key, name)
            self.document_.names[here] = self.place(name_node)
            # A value on lines of its own, or of no letter, is found by its key.
            beside = value_node.start_mark.line == name_node.start_mark.line and value_node.value not in ("", [])
            self.document_.places[here] = self.place(value_node if beside else name_node)
            result[name] = self.tree(value_node, here)
        return merged | result

    def bases(self, node: yaml.Node) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<` names, strongest first."""
        for base in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(base, yaml.MappingNode):
                yield base
            else:
                self.refuse(base, "<<", "merges mappings only")

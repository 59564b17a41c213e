"""YAML parser that preserves scalars as written, and the location of each node.

PyYAML composes the tree without resolving scalars, so `1.10`, `0123`, `12:30` and `on` remain strings; only the schema
determines their types. Only a plain `null`, `~` or an empty scalar is None.
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

# Limits far above any real configuration, and far below the expansion of nested aliases ("billion laughs").
MAX_NODES = 10_000
MAX_BYTES = 2**16
_YAML_TAGS = "tag:yaml.org,2002:"
_RESOLVER = yaml.resolver.Resolver()
# Tags of nodes without an explicit tag; others are not supported.
_KINDS = ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value")
_PLAIN = {f"{_YAML_TAGS}{kind}" for kind in _KINDS}
_SECRETS = re.compile(r"""\bsecrets["']?\s*:""")


@dataclass
class Document:
    """Content of a YAML file.

    Attributes:
        tree: The parsed content.
        locations: Location (`file:line:column`) of each value, by key.
        key_locations: Location of each key itself.
    """

    tree: dict[str, Tree]
    locations: dict[Key, str] = field(default_factory=dict)
    key_locations: dict[Key, str] = field(default_factory=dict)


# Line breaks in YAML 1.1, but not in YAML 1.2 (section 5.4).
_SEPARATOR = re.compile("[\x85\u2028\u2029]")


def read(file: Path, name: str) -> Document:
    """Read the mapping in a YAML file.

    Args:
        file: File to read.
        name: Name of the file in messages.

    Raises:
        ConfigError: The file is not UTF-8, not YAML or not a mapping, or has a duplicate key.
    """
    return parse(read_text(file, name), name)


def read_text(file: Path, name: str) -> str:
    """Return the text of a file, called `name` in messages. Raises ConfigError if it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(f"{name}:1:1", "cannot be read", str(error))]) from error


def parse(text: str, name: str) -> Document:
    """Parse the mapping in a YAML text, as `read` does."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise ConfigError([Problem(f"{name}:1:1", "too large", f"a file of at most {MAX_BYTES // 1024} KiB")])
    if separator := _SEPARATOR.search(text):
        location = f"{name}:{_position(text, separator.start())}"
        problem = "a line break in YAML 1.1, but not in YAML 1.2; write it as an escape in double quotes"
        raise ConfigError([Problem(location, repr(separator[0]), problem)])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"
        problem = f"not valid YAML: {error.problem or error.context}"
        raise ConfigError([Problem(location, _line(text, mark.line if mark else 0), problem)]) from error
    except yaml.reader.ReaderError as error:
        location = f"{name}:{_position(text, error.position)}"
        problem = "not valid YAML: the character is not allowed"
        raise ConfigError([Problem(location, repr(chr(error.character)), problem)]) from error
    except (OverflowError, ValueError) as error:  # "\\UFFFFFFFF"
        problem = "not valid YAML: an escape is not a valid character"
        raise ConfigError([Problem(f"{name}:1:1", _line(text, 0), problem)]) from error
    except RecursionError as error:
        raise ConfigError(
            [Problem(f"{name}:1:1", _line(text, 0), "nested too deeply: sections have only a few levels")]
        ) from error
    if root is None:
        raise ConfigError([Problem(f"{name}:1:1", "is empty", "add a section or remove the file")])
    if not isinstance(root, yaml.MappingNode):
        location = f"{name}:{root.start_mark.line + 1}:{root.start_mark.column + 1}"
        raise ConfigError([Problem(location, "not a mapping", "sections with keys, such as `ports: {lab: 8888}`")])
    return _Walk(name).document(root)


def _position(text: str, index: int) -> str:
    """Return the position of a character as `line:column`."""
    before = text[:index]
    return f"{before.count(chr(10)) + 1}:{index - before.rfind(chr(10))}"


def has_content(text: str) -> bool:
    """Whether a text contains anything except comments and blank lines; it may be invalid YAML."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _line(text: str, number: int) -> str:
    """Return the text of a line for quoting, unless it may be a secret."""
    lines = text.splitlines()
    if any(_SECRETS.search(above) for above in lines[: number + 1]):
        return "at or below `secrets`"
    line = lines[number].strip() if number < len(lines) else ""
    return f"{line[:77]}..." if len(line) > 80 else line or "end of the text"  # noqa: PLR2004 - a terminal's width


def parse_value(text: str) -> Tree:
    """Parse the value in `--set key=VALUE`.

    Lists, maps and quoted strings are parsed as YAML in flow style; any other text is the value itself.

    Raises:
        ConfigError: A list, map or string is not closed, or is followed by more text.
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

    def location(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def refuse(self, node: yaml.Node, found: str, allowed: str) -> None:
        self.problems.append(Problem(self.location(node), found, allowed))

    def tree(self, node: yaml.Node, key: Key) -> Tree:
        self.document_.locations.setdefault(key, self.location(node))
        self.count += 1
        if self.count > MAX_NODES or id(node) in self.open:
            self.refuse(node, "an alias that is recursive or too large", f"at most {MAX_NODES} values in a file")
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
        """Refuse an explicit tag other than the implicit one of the value."""
        implicit = (not getattr(node, "style", None), False)
        plain = _RESOLVER.resolve(type(node), node.value, implicit)  # type: ignore[no-untyped-call] # its stubs are bare
        if node.tag not in {plain, f"{_YAML_TAGS}str"} or (node.tag not in _PLAIN):
            self.refuse(node, node.tag, "YAML tags are not supported")

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Tree]:
        result: dict[str, Tree] = {}
        merges = [(name, value) for name, value in node.value if name.tag == f"{_YAML_TAGS}merge"]
        for name_node, _ in merges[1:]:
            self.refuse(name_node, "<<", "duplicate key; use one with a list: `<<: [*a, *b]`")
        # Weakest first, and before the mapping's own keys, so that values and locations of the strongest source remain.
        merged: dict[str, Tree] = {}
        for base in reversed([base for _, value in merges for base in self.bases(value)]):
            merged.update(cast("dict[str, Tree]", self.tree(base, key)))
        for name_node, value_node in node.value:
            if name_node.tag == f"{_YAML_TAGS}merge":
                continue
            if not isinstance(name_node, yaml.ScalarNode):
                self.refuse(name_node, "a key that is not a string", "keys are plain names")
                continue
            self.check_tag(name_node)
            name = str(name_node.value)
            if name in result:
                self.refuse(name_node, name, "duplicate key; remove one of them")
                continue
            path = (*key, name)
            self.document_.key_locations[path] = self.location(name_node)
            # The location of an empty value, or of one on separate lines, is that of its key.
            is_inline = value_node.start_mark.line == name_node.start_mark.line and value_node.value not in ("", [])
            self.document_.locations[path] = self.location(value_node if is_inline else name_node)
            result[name] = self.tree(value_node, path)
        return merged | result

    def bases(self, node: yaml.Node) -> Iterator[yaml.MappingNode]:
        """Yield the mappings that `<<` refers to, strongest first."""
        for base in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(base, yaml.MappingNode):
                yield base
            else:
                self.refuse(base, "<<", "merges mappings only")

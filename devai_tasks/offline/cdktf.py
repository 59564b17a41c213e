"""Provider schemas, extracted from the prebuilt provider packages of CDK for Terraform.

Each of these packages on PyPI was generated from a provider's schema. Its JavaScript (`synthesizeHclAttributes` and the
functions `…ToHclTerraform`) contains the name, type and nesting of every argument. Its TypeScript interfaces show which
arguments are required. Getters without a setter are attributes that the provider computes.

The packages don't show which optional arguments the provider computes if they are not configured, and which changes
replace a resource: `behavior` lists these. Names that end in `_wo` are write-only, by the providers' convention.
"""

from __future__ import annotations

import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from devai_tasks.offline import behavior
from devai_tasks.offline.recording import Block, Snapshot

_ARGUMENT = re.compile(
    r'^\s+(\w+): \{\n\s+value: (.+),\n\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",\n',
    re.MULTILINE,
)
_FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_GETTER = re.compile(r"return (cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\('(\w+)'\)")
_COMPUTED_MAP = re.compile(r"this\._\w+ = new cdktf\.(\w+Map)\(this, \"(\w+)\"")
_MEMBER = re.compile(r"this\._\w+ = new (?!cdktf\.)(?:\w+\.)?(\w+)\(this, \"(\w+)\"((?:, \w+)?)\)")
_CONVERTER = re.compile(r"(?<!cdktf\.)\b(\w+)ToHclTerraform")

_SCALARS = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_GETTERS: Mapping[str, Any] = {
    "String": "string", "Number": "number", "Boolean": "bool",
    "List": ["list", "string"], "NumberList": ["list", "number"],
    "StringMap": ["map", "string"], "NumberMap": ["map", "number"], "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
}  # fmt: skip
_MODES = {"struct": "single", "list": "list", "set": "set", "map": "map"}
_KINDS = {"TerraformResource", "TerraformDataSource", "TerraformProvider"}


def record(archive: Path, source: str, origin: str) -> Snapshot:
    """Return a snapshot of the provider in a package.

    Args:
        archive: the package's archive (`….jsii.tgz`).
        source: address of the provider.
        origin: description of the package.
    """
    version = ""
    schemas: dict[str, dict[str, Block]] = {kind: {} for kind in _KINDS}
    for script, declarations in _modules(archive):
        for kind, name, provider_version, schema in _Module(script, declarations).blocks():
            version = provider_version or version
            schemas[kind][name] = schema
    (provider,) = schemas["TerraformProvider"].values()
    for type_name, (path, name, attribute, since) in behavior.NEWER.items():
        inner: Any = schemas["TerraformResource"].get(type_name)
        if inner:
            for step in path:
                inner = inner["block_types"][step]["block"]
            inner["attributes"][name] = attribute
            origin += f"; {name} of {type_name} as in {since}"
    return Snapshot(source, version, origin, provider, schemas["TerraformResource"], schemas["TerraformDataSource"])


def _modules(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield script and declarations of each module in the package; those of large modules are in several files."""
    scripts: dict[str, str] = defaultdict(str)
    declarations: dict[str, str] = defaultdict(str)
    with tarfile.open(archive) as package:
        for member in package:
            stream = package.extractfile(member) if member.name.startswith("package/lib/") else None
            if stream and member.name.endswith((".js", ".ts")):
                texts = scripts if member.name.endswith(".js") else declarations
                texts[member.name.split("/")[2]] += stream.read().decode()
    for name, script in scripts.items():
        yield script, declarations[name]


@dataclass(frozen=True)
class _Module:
    """A module: a resource, a data source or the provider, with the structures of its blocks."""

    script: str
    declarations: str

    @cached_property
    def functions(self) -> dict[str, str]:
        return dict(_FUNCTION.findall(self.script))

    @cached_property
    def classes(self) -> dict[str, tuple[str, str]]:
        return {name: (base, body) for name, base, body in _CLASS.findall(self.script)}

    @cached_property
    def optional(self) -> dict[str, dict[str, bool]]:
        """Map each interface to its members, and each member to whether it is optional."""
        return {
            name: {member: mark == "?" for member, mark in re.findall(r"readonly (\w+)(\??):", body)}
            for name, body in _INTERFACE.findall(self.declarations)
        }

    def blocks(self) -> Iterator[tuple[str, str, str, Block]]:
        """Yield kind, type, provider version and schema of each resource, data source or provider in the module."""
        for name, (base, body) in self.classes.items():
            if base in _KINDS:
                arguments = re.search(r"synthesizeHclAttributes\(\) \{(.*?)^    \}", body, re.MULTILINE | re.DOTALL)
                type_name = re.search(r"terraformResourceType: '(\w+)'", body)
                version = re.search(r"providerVersion: '([\w.]+)'", body)
                type_of_block = type_name[1] if type_name else ""
                block = self.block(arguments[1] if arguments else "", f"{name}Config", name, type_of_block)
                yield base, type_of_block, version[1] if version else "", block

    def block(self, arguments: str, interface: str, class_name: str, type_name: str) -> dict[str, Any]:
        """Return the schema of a block, from the body of the function that writes the block."""
        attributes: dict[str, Any] = {}
        block_types: dict[str, Any] = {}
        computed, members = self.getters(class_name)
        optional = self.optional.get(interface, {})
        for name, value, is_block, kind, storage in _ARGUMENT.findall(arguments):
            is_optional = optional.get(_camel(name), True)
            converter = _CONVERTER.search(value)
            if not converter or converter[1] not in self.functions:
                attribute = {"type": _type(kind, storage) or computed.get(name, "dynamic")}
                attributes[name] = {**attribute, **_flags(type_name, name, optional=is_optional)}
                continue
            structure = f"{converter[1][0].upper()}{converter[1][1:]}"
            child = self.block(self.functions[converter[1]], structure, f"{structure}OutputReference", "")
            if is_block == "true":
                at_most_one = name in members and members[name][0].endswith("OutputReference")
                block_types[name] = _nested(_MODES[kind], child, optional=is_optional, at_most_one=at_most_one)
            else:
                nested = {"attributes": child["attributes"], "nesting_mode": _MODES[kind]}
                attributes[name] = {"nested_type": nested, **_flags(type_name, name, optional=is_optional)}
        readable = {**computed, **{name: self.collection(*member) for name, member in members.items()}}
        for name, kind in readable.items():
            if name not in attributes and name not in block_types:
                attributes[name] = {"type": kind, "computed": True}
        return {"attributes": attributes, "block_types": block_types}

    def getters(self, class_name: str) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
        """Return the readable properties of an object: attributes with their types, and members that are objects."""
        body = self.classes.get(class_name, ("", ""))[1]
        attributes = {}
        for as_set, getter, name in _GETTER.findall(body):
            kind = _GETTERS.get(getter, "dynamic")
            attributes[name] = ["set", kind[1]] if as_set and isinstance(kind, list) else kind
        attributes |= {name: _GETTERS.get(kind, "dynamic") for kind, name in _COMPUTED_MAP.findall(body)}
        return attributes, {name: (member, rest) for member, name, rest in _MEMBER.findall(body)}

    def collection(self, class_name: str, rest: str) -> Any:
        """Return the type of a computed member that is an object, or a list or map of objects."""
        for suffix, kind in (("List", "set" if "true" in rest else "list"), ("Map", "map")):
            if class_name.endswith(suffix):
                return [kind, self.object(f"{class_name.removesuffix(suffix)}OutputReference")]
        return ["list", self.object(class_name)] if class_name.endswith("OutputReference") else "dynamic"

    def object(self, class_name: str) -> Any:
        attributes, members = self.getters(class_name)
        return ["object", {**attributes, **{name: self.collection(*member) for name, member in members.items()}}]


def _nested(mode: str, block: Block, *, optional: bool, at_most_one: bool) -> dict[str, Any]:
    nested: dict[str, Any] = {"nesting_mode": mode, "block": block}
    if mode in ("list", "set"):
        nested |= {"max_items": 1} if at_most_one else {}
        nested |= {} if optional else {"min_items": 1}
    return nested


def _flags(type_name: str, name: str, *, optional: bool) -> dict[str, bool]:
    flags = {"optional" if optional else "required": True}
    if optional and behavior.fills(type_name, name):
        flags["computed"] = True
    if name.endswith("_wo"):
        flags |= {"write_only": True, "sensitive": True}
    return flags


def _type(kind: str, storage: str) -> Any:
    """Return the type of an argument without nested schema, such as `string` or `["list", "string"]`."""
    result = _storage(storage)
    return ["set", result[1]] if kind == "set" and isinstance(result, list) else result


def _storage(storage: str) -> Any:
    if storage in _SCALARS:
        return _SCALARS[storage]
    for suffix, collection in (("Map", "map"), ("List", "list")):
        if storage.endswith(suffix):
            inner = _storage(storage.removesuffix(suffix))
            return [collection, inner] if inner else None
    return None


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)

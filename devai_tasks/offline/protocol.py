"""Terraform's plugin protocol, version 6: conversion of schemas and values to its messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgpack
from tf.gen import tfplugin_pb2 as pb

from devai_tasks.offline.recording import Block

UNKNOWN = msgpack.ExtType(0, b"\0")
# `write_only` is field 11 of an attribute and missing in the generated messages: key with wire type 0, value true.
_WRITE_ONLY = bytes([11 << 3, 1])
_BLOCK_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
_OBJECT_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}


def schema(block: Block) -> pb.Schema:
    """Return the schema of a block as a message."""
    return pb.Schema(version=0, block=_block(block))


def decode(value: pb.DynamicValue) -> Any:
    """Decode a value; unknown values are `ExtType` objects."""
    return msgpack.unpackb(value.msgpack, ext_hook=msgpack.ExtType, strict_map_key=False) if value.msgpack else None


def encode(value: Any) -> pb.DynamicValue:
    """Encode a value; unknown values are `ExtType` objects."""
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def is_unknown(value: Any) -> bool:
    """Whether a value is known only after apply."""
    return isinstance(value, msgpack.ExtType)


def path(name: str) -> pb.AttributePath:
    """Return the path of a top-level attribute."""
    return pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)])


def _block(block: Block) -> pb.Schema.Block:
    return pb.Schema.Block(
        attributes=[_attribute(name, entry) for name, entry in block["attributes"].items()],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(entry["block"]),
                nesting=_BLOCK_NESTING[entry["nesting_mode"]],
                min_items=entry.get("min_items", 0),
                max_items=entry.get("max_items", 0),
            )
            for name, entry in block["block_types"].items()
        ],
    )


def _attribute(name: str, entry: Mapping[str, Any]) -> pb.Schema.Attribute:
    flags = {flag: entry.get(flag, False) for flag in ("required", "optional", "computed", "sensitive")}
    attribute = pb.Schema.Attribute(name=name, **flags)
    if nested := entry.get("nested_type"):
        attributes = [_attribute(inner, described) for inner, described in nested["attributes"].items()]
        nesting = _OBJECT_NESTING[nested["nesting_mode"]]
        attribute.nested_type.CopyFrom(pb.Schema.Object(attributes=attributes, nesting=nesting))
    else:
        attribute.type = json.dumps(entry["type"]).encode()
    if entry.get("write_only"):
        return pb.Schema.Attribute.FromString(attribute.SerializeToString() + _WRITE_ONLY)
    return attribute

"""Values of resources: unknown values of a plan, and placeholders for them after apply.

Placeholders are the same in every run for the same configuration. They have the type of the schema and a format that
configurations depend on, and refer to nothing real: addresses are those of RFC 5737, names end in `.invalid`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from devai_tasks.offline.protocol import UNKNOWN, is_unknown
from devai_tasks.offline.recording import Block

# Formats of values that configurations parse, by a pattern for the attribute's name.
_FORMATS = (
    (r"^azurerm_id$", "/subscriptions/{guid}/resourceGroups/offline/providers/Offline/{kind}/{short}/parts/{short}"),
    (r"^google_id$", "projects/offline/locations/offline/{kind}/{short}"),
    (r"^(.*_)?arn$", "arn:aws:offline:eu-central-1:123456789012:{kind}:{short}"),
    (r"^(versionless_)?secret_id$", "https://{short}.offline.invalid/secrets/{short}"),
    (r"^(id|name)$", "{kind}-{short}"),
    (r"(principal|client|tenant|object|subscription)_id$", "{guid}"),
    (r"^(address|ip_address|.*_(ip|ip_address|ipv4))$", "203.0.113.{number}"),
    (r"^(repository_url|login_server|fqdn|dns_name)$|host(name)?$|_fqdn$", "{short}.offline.invalid"),
    (r"(ur[il]|endpoint|issuer)$", "https://{short}.offline.invalid/"),
    (r"certificate|^(data|ca_cert)$", "{base64}"),
    (r"email$", "{short}@offline.invalid"),
    (r"", "{name}-{short}"),
)
Visit = Callable[[str, Mapping[str, Any], Any], Any]
"""Function that returns the new value of an attribute, from its name, schema and value."""


def planned(block: Block, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the planned values of a new resource: computed values are unknown, write-only values are null."""

    def visit(_: str, attribute: Mapping[str, Any], current: Any) -> Any:
        return UNKNOWN if current is None and attribute.get("computed") else current

    return _walk(block, _without_write_only(block, value), visit)


def kept(block: Block, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the planned values of an existing resource: new computed attributes are unknown."""

    def visit(_: str, attribute: Mapping[str, Any], current: Any) -> Any:
        return current if attribute.get("optional") or current is not None or not attribute.get("computed") else UNKNOWN

    return _walk(block, _without_write_only(block, value), visit)


def applied(block: Block, value: Mapping[str, Any], type_name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a resource after apply, with placeholders for unknown values.

    Args:
        block: schema of the resource.
        value: planned values.
        type_name: type of the resource.
        defaults: values of the provider's configuration, such as its region, which are used for unknown attributes.
    """
    seed = _digest(f"{type_name} {json.dumps(_known(value), sort_keys=True, default=str)}")

    def visit(name: str, attribute: Mapping[str, Any], current: Any) -> Any:
        if not is_unknown(current):
            return current
        return defaults.get(name) or placeholder(name, attribute_type(attribute), seed, type_name)

    return _walk(block, value, visit)


def read(block: Block, known: Mapping[str, Any], type_name: str) -> dict[str, Any]:
    """Return the values of a data source: known values, and placeholders for the rest."""
    return applied(block, planned(block, empty(block) | dict(known)), type_name, {})


def imported(block: Block, identity: str, type_name: str) -> dict[str, Any]:
    """Return the values of an imported resource: its ID, and placeholders for computed attributes."""
    return applied(block, kept(block, empty(block) | {"id": identity}), type_name, {})


def empty(block: Block) -> dict[str, Any]:
    """Return a block without values."""
    defaults = {"list": list, "set": list, "map": dict}
    return {
        **dict.fromkeys(block["attributes"]),
        **{name: defaults.get(entry["nesting_mode"], lambda: None)() for name, entry in block["block_types"].items()},
    }


def attribute_type(attribute: Mapping[str, Any]) -> Any:
    """Return the type of an attribute; a nested attribute has an object type."""
    nested = attribute.get("nested_type")
    if not nested:
        return attribute["type"]
    inner = ["object", {name: attribute_type(entry) for name, entry in nested["attributes"].items()}]
    return inner if nested["nesting_mode"] == "single" else [nested["nesting_mode"], inner]


def placeholder(name: str, kind: Any, seed: str, type_name: str) -> Any:
    """Return a placeholder for an attribute.

    Args:
        name: name of the attribute.
        kind: type of the attribute.
        seed: text that the placeholder is derived from.
        type_name: type of the resource.
    """
    if isinstance(kind, list):
        collection, inner = kind
        if collection == "object":
            return {member: placeholder(member, member_kind, seed, type_name) for member, member_kind in inner.items()}
        return {} if collection == "map" else [placeholder(name, inner, seed, type_name)]
    if kind == "string":
        return _text(name, _digest(f"{seed} {name}"), type_name)
    return {"number": 1, "bool": False}.get(kind)


def _text(name: str, digest: str, type_name: str) -> str:
    """Return a text in the first format of `_FORMATS` whose pattern matches the attribute's name."""
    provider, _, kind = type_name.partition("_")
    if provider in ("azurerm", "google") and name in ("id", "resource_id", "resource_versionless_id"):
        # IDs of these providers are paths, which configurations parse.
        name = f"{provider}_id"
    template = next(template for pattern, template in _FORMATS if re.search(pattern, name))
    guid = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
    return template.format(
        kind=kind.replace("_", "-"),
        name=name.replace("_", "-"),
        short=digest[:12],
        guid=guid,
        number=int(digest[:4], 16) % 254 + 1,
        base64=base64.b64encode(digest[:12].encode()).decode(),
    )


def _walk(block: Block, value: Mapping[str, Any], visit: Visit) -> dict[str, Any]:
    """Return a block's value with `visit` applied to every attribute, including nested blocks."""
    out = {name: _attribute(name, attribute, value.get(name), visit) for name, attribute in block["attributes"].items()}
    for name, entry in block["block_types"].items():
        inner = value.get(name)
        if isinstance(inner, list):
            out[name] = [_walk(entry["block"], item, visit) if isinstance(item, dict) else item for item in inner]
        elif isinstance(inner, dict) and entry["nesting_mode"] == "map":
            out[name] = {key: _walk(entry["block"], item, visit) for key, item in inner.items()}
        else:
            out[name] = _walk(entry["block"], inner, visit) if isinstance(inner, dict) else inner
    return out


def _attribute(name: str, attribute: Mapping[str, Any], value: Any, visit: Visit) -> Any:
    nested = attribute.get("nested_type")
    if not nested or value is None or is_unknown(value):
        return visit(name, attribute, value)
    block = {"attributes": nested["attributes"], "block_types": {}}
    match nested["nesting_mode"]:
        case "single":
            return _walk(block, value, visit)
        case "map":
            return {key: _walk(block, item, visit) for key, item in value.items()}
        case _:
            return [_walk(block, item, visit) for item in value]


def _without_write_only(block: Block, value: Mapping[str, Any]) -> dict[str, Any]:
    return _walk(block, value, lambda _, attribute, current: None if attribute.get("write_only") else current)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if not is_unknown(item)}
    return [_known(item) for item in value] if isinstance(value, list) else "?" if is_unknown(value) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""Templates of generated files, and filters that format the values in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml
    from jinja2 import Environment


@cache
def _templates() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("devai_tasks"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - no HTML; each format has its own filter below
    )
    environment.filters.update(dotenv=quote_dotenv, yaml=quote_yaml, compose=escape_compose)
    return environment


def template(name: str, **values: Any) -> str:
    """Return a rendered template of `templates/`."""
    return _templates().get_template(f"{name}.j2").render(values)


def quote_dotenv(value: object) -> str:
    """Return a value quoted for an environment file that Compose reads."""
    text = str(value)
    if "'" not in text and not text.endswith("\\"):
        return f"'{text}'"  # single quotes keep everything literal, but can't escape a quote or a final backslash
    escaped = re.sub(r'[\\"$]', r"\\\g<0>", text)
    return f'"{escaped}"'


def quote_yaml(value: object) -> str:
    """Return a value as a YAML scalar or flow collection, in JSON, which is a subset of YAML."""
    return json.dumps(value, ensure_ascii=False)


@cache
def _dumper() -> type[yaml.CSafeDumper]:
    """Return a dumper that quotes strings which other YAML parsers would read as numbers or booleans.

    PyYAML quotes by YAML 1.1 only.
    """
    import yaml

    class Dumper(yaml.CSafeDumper):
        """Also quotes strings that begin like a number, and the short booleans `y` and `n`."""

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+._]*[0-9]"), list("-+._0123456789"))
    Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
    return Dumper


def yaml_documents(documents: Iterable[Any]) -> str:
    """Return YAML documents in which Kubernetes reads every value with its type."""
    import yaml

    return yaml.dump_all(documents, Dumper=_dumper(), sort_keys=False, width=120, allow_unicode=True)


def escape_compose(value: str) -> str:
    """Return a text escaped for a Compose file, where a single `$` would start a variable."""
    return value.replace("$", "$$")

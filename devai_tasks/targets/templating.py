"""Templates of artifacts, and the formats of values in them."""

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
    """A file of `templates/`, filled in."""
    return _templates().get_template(f"{name}.j2").render(values)


def quote_dotenv(value: object) -> str:
    """A value of an environment file as Compose reads it."""
    text = str(value)
    if "'" not in text and not text.endswith("\\"):
        return f"'{text}'"  # keeps all that has neither: there is no escape for both
    escaped = re.sub(r'[\\"$]', r"\\\g<0>", text)
    return f'"{escaped}"'


def quote_yaml(value: object) -> str:
    """A YAML scalar or flow collection: JSON is a part of YAML."""
    return json.dumps(value, ensure_ascii=False)


@cache
def _dumper() -> type[yaml.CSafeDumper]:
    """PyYAML's writes by YAML 1.1, and leaves plain what is a number or a truth value to readers of others."""
    import yaml

    class Dumper(yaml.CSafeDumper):
        """Quotes as well what begins like a number, and the short truth values."""

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+._]*[0-9]"), list("-+._0123456789"))
    Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
    return Dumper


def yaml_documents(documents: Iterable[Any]) -> str:
    """YAML documents that Kubernetes reads as what they are."""
    import yaml

    return yaml.dump_all(documents, Dumper=_dumper(), sort_keys=False, width=120, allow_unicode=True)


def escape_compose(value: str) -> str:
    """Text for a Compose file, where a single `$` would start a variable."""
    return value.replace("$", "$$")

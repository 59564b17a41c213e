"""Settings to text: pure functions that run no program and read no file but their own templates."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

Artefacts = dict[str, str]
"""The files of one target: `{path below the stack's folder: text}`; the first part of each path is the target."""


@cache
def _templates() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("devai_tasks.render"),
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


def escape_compose(value: str) -> str:
    """Text for a Compose file, where a single `$` would start a variable."""
    return value.replace("$", "$$")

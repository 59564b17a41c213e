"""Settings to text: pure functions that run no program and read no file but their own templates."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from devai_tasks.config.document import Key
from devai_tasks.config.observing import observed
from devai_tasks.config.schema import Settings

if TYPE_CHECKING:
    import yaml
    from jinja2 import Environment

LAB_PORT = 8888
"""Where the lab listens in its container, unless it is told otherwise."""
LAB_ENVIRONMENT = ("lab-env",)
"""The command that gives another one in a running lab the lab's environment: deploy/image/lab-env.sh."""

Artefacts = dict[str, str]
"""Generated files: `{path below the stack's folder: text}`; the first part of each path is the target."""


def always(_: Settings) -> bool:
    """Whether a file is part of a stack: it always is."""
    return True


@dataclass(frozen=True)
class Artifact:
    """A generated file: its path below the stack's folder, its text, and which stacks have it."""

    path: str
    text: Callable[[Settings], str]
    exists: Callable[[Settings], bool] = always

    def where(self, condition: Callable[[Settings], bool]) -> Artifact:
        """Return the same for the stacks of which a condition holds as well."""
        return replace(self, exists=lambda settings: condition(settings) and self.exists(settings))


def texts(artifacts: Iterable[Artifact], settings: Settings) -> Artefacts:
    """Return the texts of the artifacts that the stack has."""
    return {artifact.path: artifact.text(settings) for artifact in artifacts if artifact.exists(settings)}


def by_target(artifacts: Iterable[str]) -> dict[str, list[str]]:
    """Return the artifacts of each target, by their path below its folder."""
    groups: dict[str, list[str]] = {}
    for artifact in sorted(artifacts):
        target, _, file = artifact.partition("/")
        groups.setdefault(target, []).append(file)
    return groups


def affected(artifacts: Iterable[Artifact], settings: Settings) -> dict[Key, set[str]]:
    """Return the artifacts of the stack by the keys that are read for each: it is rendered to find out."""
    found: dict[Key, set[str]] = defaultdict(set)
    for artifact in artifacts:
        keys: set[Key] = set()
        reading = observed(settings, keys.add)
        if artifact.exists(reading):
            artifact.text(reading)
            for key in keys:
                found[key].add(artifact.path)
    return found


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

"""Secrets: named in the configuration, known only where they are handed over.

`${secret:NAME}` makes a `Secret`: a text with holes. Whatever is printed, logged or shown of it is `***`; only `reveal`
fills the holes, at the moment of handing over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config import document
from devai_tasks.config.project import Project
from devai_tasks.system.errors import ConfigError, Problem, UsageError

FILE = "conf/secrets.yaml"
ENCRYPTED_FILE = "conf/secrets.sops.yaml"
MASK = "***"
# Names of which builds and Ollama hear as well as the lab: their addresses may hold a password.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# The secret that every lab has.
TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the name of a variable
NAME = r"[A-Z_][A-Z0-9_]*"  # the entrypoint's rule
NO_REFERENCE = "names a secret, as ${secret:NAME}: the value itself does not stand in the configuration"
# What the resolver leaves in a text for each reference: no file can hold this character, so nobody can write one.
_HOLE = re.compile(f"\0({NAME})\0")
# What may stand there and tells nothing: the name of a secret, the path of another key.
_REFERENCE = re.compile(rf"(\$\{{(?:secret:{NAME}|[a-z_]*(?:\.\w+)+)\}})")


@dataclass(frozen=True)
class Secret:
    """A value that holds secrets; equal to another that refers to the same ones in the same way."""

    _template: str

    @classmethod
    def parse(cls, text: str) -> Secret:
        """A text that refers to at least one secret. Raises ValueError, without the text, for any other."""
        if not refers(text):
            raise ValueError(NO_REFERENCE)
        return cls(text)

    @property
    def names(self) -> tuple[str, ...]:
        """The secrets that it refers to."""
        return tuple(dict.fromkeys(_HOLE.findall(self._template)))

    def reveal(self, values: Mapping[str, str]) -> str:
        """The value itself; empty where any of its secrets is. The caller hands it over and keeps it nowhere."""
        if not all(values.get(name) for name in self.names):
            return ""
        return _HOLE.sub(lambda hole: values[hole[1]], self._template)

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


def reference(name: str) -> str:
    """What `${secret:NAME}` becomes while a configuration is merged. Raises ValueError for what is no name."""
    if not re.fullmatch(NAME, str(name)):
        raise ValueError("not a name for a secret, such as OPENAI_API_KEY")  # unquoted: it may be a value
    return f"\0{name}\0"


def refers(text: str) -> bool:
    """Whether a text has a reference in it."""
    return bool(_HOLE.search(text))


def masked(text: str) -> str:
    """A text of the section `secrets` as it may be shown: its references, and nothing of what is around them."""
    return "".join(part if index % 2 else part and MASK for index, part in enumerate(_REFERENCE.split(text)))


def resolve(
    project: Project,
    names: Iterable[str],
    environ: Mapping[str, str] = os.environ,
    decrypt: Callable[[Path], bytes] | None = None,
) -> dict[str, str]:
    """The value of each secret, empty where it is set nowhere.

    It is looked for in the environment, in conf/secrets.yaml, and in conf/secrets.sops.yaml, which `decrypt` makes
    readable and which is touched only for what the others don't have. Raises UsageError where others can read
    conf/secrets.yaml, ConfigError where a file is no map of texts.
    """
    # Many programs read their proxies from small letters only, so that is how many people set them.
    values = {name: environ.get(name) or (name in PROXIES and environ.get(name.lower())) or "" for name in names}
    for file, read in ((FILE, _private), (ENCRYPTED_FILE, decrypt)):
        if read and not all(values.values()) and (project.root / file).exists():
            stored = parse(read(project.root / file), file)
            values = {name: value or stored.get(name, "") for name, value in values.items()}
    return values


def _private(file: Path) -> bytes:
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{FILE} can be read by others", hint=f"`chmod 600 {FILE}`", code="DEVAI-CONFIG-004")
    return file.read_bytes()


def parse(content: bytes, name: str) -> dict[str, str]:
    """The map of texts in a file of secrets. Raises ConfigError without a word of what stands there."""
    # No message quotes what stands there: it may be the secret.
    try:
        read = document.parse(content.decode(), name)
    except UnicodeDecodeError:
        raise ConfigError([Problem(f"{name}:1:1", "can't be read", "it is no UTF-8")]) from None
    except ConfigError as error:
        remedy = 'write `NAME: "value"` lines, as in conf/secrets.example.yaml'
        raise ConfigError(Problem(problem.location, "can't be read", remedy) for problem in error.problems) from None
    problems = [
        Problem(str(read.places[(name,)]), name, "one text, not a list or a map")
        for name, value in read.tree.items()
        if isinstance(value, (dict, list))
    ]
    if problems:
        raise ConfigError(problems)
    return {name: value for name, value in read.tree.items() if isinstance(value, str)}

"""Secrets: the configuration contains references, and values are read only when they are used.

`${secret:NAME}` creates a `Secret`, a template without values. It is printed, logged and shown as `***`; only `reveal`
inserts the values, at the time of use.
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
# Variables that builds and Ollama receive as well as the lab; the addresses may contain a password.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# The secret that every lab has.
TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the name of a variable
NAME = r"[A-Z_][A-Z0-9_]*"  # the entrypoint's rule
NO_REFERENCE = "a reference to a secret, as ${secret:NAME}: the configuration must not contain the value itself"
# Marker that the resolver inserts for each reference. Files cannot contain NUL, so users cannot write a marker.
_MARKER = re.compile(f"\0({NAME})\0")
# Parts of a value that are not secret: references to a secret or another key.
_REFERENCE = re.compile(rf"(\$\{{(?:secret:{NAME}|[a-z_]*(?:\.\w+)+)\}})")


@dataclass(frozen=True)
class Secret:
    """A value that contains secrets; equal to another one with the same template."""

    _template: str

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Parse a text that refers to at least one secret.

        Raises:
            ValueError: The text has no reference. The message does not quote the text.
        """
        if not has_reference(text):
            raise ValueError(NO_REFERENCE)
        return cls(text)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the secrets in the template."""
        return tuple(dict.fromkeys(_MARKER.findall(self._template)))

    def reveal(self, values: Mapping[str, str]) -> str:
        """Return the value with its secrets; empty if any of them is empty. The caller must not store the value."""
        if not all(values.get(name) for name in self.names):
            return ""
        return _MARKER.sub(lambda marker: values[marker[1]], self._template)

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


def reference(name: str) -> str:
    """Return the marker that replaces `${secret:NAME}` during a merge. Raises ValueError for an invalid name."""
    if not re.fullmatch(NAME, str(name)):
        raise ValueError("not a name for a secret, such as OPENAI_API_KEY")  # not quoted, because it may be a value
    return f"\0{name}\0"


def has_reference(text: str) -> bool:
    """Whether a text refers to a secret."""
    return bool(_MARKER.search(text))


def masked(text: str) -> str:
    """Return a text of the section `secrets` with everything masked except its references."""
    return "".join(part if index % 2 else part and MASK for index, part in enumerate(_REFERENCE.split(text)))


def resolve(
    project: Project,
    names: Iterable[str],
    environ: Mapping[str, str] = os.environ,
    decrypt: Callable[[Path], bytes] | None = None,
) -> dict[str, str]:
    """Return the value of each secret; empty if it is not set.

    The sources are, in this order: the environment, conf/secrets.yaml and conf/secrets.sops.yaml. A file is read only
    if the sources before it do not have all values.

    Args:
        project: Project whose files are read.
        names: Names of the secrets.
        environ: Environment variables.
        decrypt: Decrypts conf/secrets.sops.yaml; None to ignore that file.

    Raises:
        UsageError: Other users can read conf/secrets.yaml.
        ConfigError: A file is not a map of strings.
    """
    # Many programs read lower-case proxy variables only, so many users set those.
    values = {name: environ.get(name) or (name in PROXIES and environ.get(name.lower())) or "" for name in names}
    for file, read in ((FILE, _private), (ENCRYPTED_FILE, decrypt)):
        if read and not all(values.values()) and (project.root / file).exists():
            stored = parse(read(project.root / file), file)
            values = {name: value or stored.get(name, "") for name, value in values.items()}
    return values


def _private(file: Path) -> bytes:
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{FILE} is readable by other users", hint=f"`chmod 600 {FILE}`", code="DEVAI-CONFIG-004")
    return file.read_bytes()


def parse(content: bytes, name: str) -> dict[str, str]:
    """Return the map of strings in a file of secrets. Raises ConfigError, which never quotes the content."""
    # No message quotes the content, which may be a secret.
    try:
        parsed = document.parse(content.decode(), name)
    except UnicodeDecodeError:
        raise ConfigError([Problem(f"{name}:1:1", "cannot be read", "a file in UTF-8")]) from None
    except ConfigError as error:
        allowed = 'lines such as `NAME: "value"`, as in conf/secrets.example.yaml'
        raise ConfigError(Problem(problem.location, "cannot be read", allowed) for problem in error.problems) from None
    problems = [
        Problem(str(parsed.locations[(name,)]), name, "one string, not a list or a map")
        for name, value in parsed.tree.items()
        if isinstance(value, (dict, list))
    ]
    if problems:
        raise ConfigError(problems)
    return {name: value for name, value in parsed.tree.items() if isinstance(value, str)}

"""Programs that know the weaknesses of packages: trivy, grype or pip-audit, whichever is found."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.system import console, process
from devai_tasks.system.errors import MissingToolError, UsageError, unknown


@dataclass(frozen=True)
class Scanner:
    """One such program."""

    name: str
    looks_at: str
    arguments: tuple[str, ...]
    """`{image}` is the image's name, `{requirements}` a file with its Python packages."""
    json: tuple[str, ...]
    found: int
    """Its exit code where there are weaknesses."""


# In the order of how much they see. What they have no data for, they don't find: the data are their own download.
SCANNERS = (
    Scanner("trivy", "all packages", ("image", "--exit-code=3", "{image}"), ("--format=json",), 3),
    Scanner("grype", "all packages", ("--fail-on=negligible", "{image}"), ("--output=json",), 2),
    Scanner(
        "pip-audit",
        "Python packages only",
        # Strict: a package that it can't look up is no package without weaknesses.
        ("--strict", "--progress-spinner=off", "--disable-pip", "--no-deps", "--requirement={requirements}"),
        ("--format=json",),
        1,
    ),
)


def find(name: str = "") -> Scanner:
    """Return the scanner to use: the one named, else the first that is installed.

    Raises UsageError for an unknown name, MissingToolError where it, or every scanner, is missing.
    """
    known = {scanner.name: scanner for scanner in SCANNERS}
    if name and name not in known:
        raise UsageError(unknown("scanner", name, known))
    for scanner in [known[name]] if name else SCANNERS:
        if process.which(scanner.name):
            return scanner
    wanted = name or "none of trivy, grype and pip-audit"
    raise MissingToolError(
        f"{wanted} is {'not ' if name else ''}installed", hint="`pip install devai-tasks[tools]` brings pip-audit"
    )


@dataclass(frozen=True)
class Findings:
    """What a scanner says."""

    text: str
    any: bool


def scan(scanner: Scanner, image: str, packages: Mapping[str, str], *, json: bool, dry: bool = False) -> Findings:
    """Return what a scanner reports of an image. Raises ToolError where it could not scan it."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "packages.txt"
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()), encoding="utf-8")
        words = [word.format(image=image, requirements=requirements) for word in scanner.arguments]
        words += scanner.json if json else ()
        if dry:
            console.say(shlex.join([scanner.name, *words]))
            return Findings("", any=False)
        console.say(f"{scanner.name} looks at {scanner.looks_at} ...")
        result = process.run([process.which(scanner.name) or scanner.name, *words])
    # One that could not scan may end with the same exit code as one that found something; only that prints a report.
    result.check(scanner.name, accepted=(0, scanner.found) if result.stdout.strip() else (0,))
    console.say(result.stderr.strip())
    return Findings(result.stdout, any=result.returncode != 0)

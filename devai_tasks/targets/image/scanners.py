"""Vulnerability scanners: trivy, grype or pip-audit, whichever is installed."""

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
    """A vulnerability scanner."""

    name: str
    scope: str
    arguments: tuple[str, ...]
    """Arguments, in which `{image}` is the image's name, `{requirements}` a file with its Python packages."""
    json: tuple[str, ...]
    findings_code: int
    """The exit code for detected vulnerabilities."""


# Ordered by coverage. Scanners download their own vulnerability data, and detect only what is in the data.
SCANNERS = (
    Scanner("trivy", "all packages", ("image", "--exit-code=3", "{image}"), ("--format=json",), 3),
    Scanner("grype", "all packages", ("--fail-on=negligible", "{image}"), ("--output=json",), 2),
    Scanner(
        "pip-audit",
        "Python packages only",
        # Strict: a package that can't be looked up must not count as one without vulnerabilities.
        ("--strict", "--progress-spinner=off", "--disable-pip", "--no-deps", "--requirement={requirements}"),
        ("--format=json",),
        1,
    ),
)


def find(name: str = "") -> Scanner:
    """Return the named scanner, else the first that is installed.

    Raises:
        UsageError: the name is unknown.
        MissingToolError: the named scanner, or every scanner, is missing.
    """
    known = {scanner.name: scanner for scanner in SCANNERS}
    if name and name not in known:
        raise UsageError(unknown("scanner", name, known))
    for scanner in [known[name]] if name else SCANNERS:
        if process.which(scanner.name):
            return scanner
    missing = name or "none of trivy, grype and pip-audit"
    raise MissingToolError(
        f"{missing} is {'not ' if name else ''}installed", hint="`pip install devai-tasks[tools]` installs pip-audit"
    )


@dataclass(frozen=True)
class Findings:
    """The report of a scanner, and whether it contains vulnerabilities."""

    text: str
    any: bool


def scan(scanner: Scanner, image: str, packages: Mapping[str, str], *, json: bool, dry: bool = False) -> Findings:
    """Scan an image and return the scanner's report.

    Raises:
        ToolError: the scan failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "packages.txt"
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()), encoding="utf-8")
        argv = [argument.format(image=image, requirements=requirements) for argument in scanner.arguments]
        argv += scanner.json if json else ()
        if dry:
            console.say(shlex.join([scanner.name, *argv]))
            return Findings("", any=False)
        console.say(f"{scanner.name} scans {scanner.scope} ...")
        result = process.run([process.which(scanner.name) or scanner.name, *argv])
    # A failed scan may have the same exit code as detected vulnerabilities, but prints no report.
    result.check(scanner.name, accepted=(0, scanner.findings_code) if result.stdout.strip() else (0,))
    console.say(result.stderr.strip())
    return Findings(result.stdout, any=result.returncode != 0)

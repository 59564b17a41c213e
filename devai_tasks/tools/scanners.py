"""Programs that know the weaknesses of packages: trivy, grype or pip-audit, whichever is found."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devai_tasks import console
from devai_tasks.system.errors import MissingToolError, ToolError, UsageError, unknown


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
    """The scanner to use: the one named, else the first that is there.

    Raises UsageError for a name that is none, MissingToolError where it or all of them are not there.
    """
    known = {scanner.name: scanner for scanner in SCANNERS}
    if name and name not in known:
        raise UsageError(unknown("scanner", name, known))
    for scanner in [known[name]] if name else SCANNERS:
        if _path(scanner):
            return scanner
    wanted = name or "none of trivy, grype and pip-audit"
    raise MissingToolError(
        f"{wanted} is {'not ' if name else ''}installed; `pip install devai-tasks[tools]` brings pip-audit"
    )


def _path(scanner: Scanner) -> str | None:
    """On PATH, or beside the interpreter, where the extra `tools` puts it."""
    return shutil.which(scanner.name) or shutil.which(scanner.name, path=str(Path(sys.executable).parent))


@dataclass(frozen=True)
class Findings:
    """What a scanner says."""

    text: str
    any: bool


def scan(scanner: Scanner, image: str, packages: Mapping[str, str], *, json: bool, dry: bool = False) -> Findings:
    """What a scanner says of an image. Raises ToolError where it couldn't look."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "packages.txt"
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()), encoding="utf-8")
        words = [word.format(image=image, requirements=requirements) for word in scanner.arguments]
        words += scanner.json if json else ()
        if dry:
            console.say(shlex.join([scanner.name, *words]))
            return Findings("", any=False)
        console.say(f"{scanner.name} looks at {scanner.looks_at} ...")
        done = subprocess.run([_path(scanner) or scanner.name, *words], capture_output=True, text=True, check=False)  # noqa: S603 - one of the three
    if done.returncode not in (0, scanner.found) or (done.returncode and not done.stdout.strip()):
        last_words = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ToolError(f"{scanner.name} could not look (exit code {done.returncode}): {last_words}")
    console.say(done.stderr.strip())
    return Findings(done.stdout, any=done.returncode != 0)

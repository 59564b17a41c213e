"""Arguments after `--` on the command line: Invoke parses them and ignores them, so every task refuses them.

The message names the task's flag that does the same, or the plain command that accepts such arguments.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from devai_tasks.system.errors import UsageError

if TYPE_CHECKING:
    from devai_tasks.stack.session import Session

# Flags of the tools, and the tasks' flags for the same; flags of the same name are not listed.
_SYNONYMS = {
    "auto-approve": "yes",
    "f": "follow",
    "n": "tail",
    "target": "resource",
    "timeout": "seconds",
    "to-revision": "revision",
    "v": "data",
    "var": "set",
    "volumes": "data",
}
# The command that the tasks of a collection run in the project's folder.
_COMMANDS = {
    "compose": "docker compose --env-file generated/{stack}/compose/.env …",
    "image": "docker buildx bake --file generated/{stack}/image/docker-bake.json …",
    "k8s": "kubectl --context={kubernetes.context} … -k generated/{stack}/kubernetes",
    "models": "ollama …",
    "tf": "TF_DATA_DIR=../../../.devai/{stack}/terraform/data terraform -chdir=deploy/terraform/{compute.provider} …",
}


def refuse(remainder: str, task: str, flags: Collection[str], session: Session | None = None) -> None:
    """Raise UsageError where arguments follow `--`; `flags` are the task's flags, without leading hyphens."""
    if not remainder:
        return
    lines = [f"{task}: arguments after -- are not passed on; nothing was done"]
    unknown = []
    for option, value in _arguments(remainder):
        flag = _flag(option, value, task, flags)
        if flag:
            lines.append(f"{_typed(option, value)}: use `{flag}`, without the --")
        else:
            unknown.append(_typed(option, value))
    if unknown:
        lines.append(f"{' '.join(unknown)}: not a flag of {task}; {_plain(task, session)}")
    raise UsageError("\n".join(lines))


def _arguments(remainder: str) -> Iterator[tuple[str, str]]:
    """Yield each option with its value; an argument that is no option is yielded as a value without an option."""
    argv = remainder.split()
    while argv:
        argument = argv.pop(0)
        option, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            yield "", argument
            continue
        if not equals and argv and not argv[0].startswith("-") and not _is_service(argv[0]):
            value = argv.pop(0)
        yield option, value


def _is_service(argument: str) -> bool:
    from devai_tasks.config.naming import SERVICES

    return argument in SERVICES


def _typed(option: str, value: str) -> str:
    return "=".join(filter(None, (option, value)))


def _flag(option: str, value: str, task: str, flags: Collection[str]) -> str:
    """Return the task's flag for an option; empty where the task has none."""
    name = option.lstrip("-")
    if name in ("dry", "dry-run"):
        return f"inv --dry {task}"
    if not option:
        return f"--service={value}" if _is_service(value) and "service" in flags else ""
    flag = name if name in flags else _SYNONYMS.get(name)
    if flag == "set" and name != flag:
        return "--set=section.key=value"
    return _typed(f"--{flag}", shlex.quote(value) if value else "") if flag in flags else ""


def _plain(task: str, session: Session | None) -> str:
    """Return a hint with the tool's own command for such arguments, and the folder to run it in."""
    if not session:
        return f"`inv --help {task}` lists its flags"
    dry_run = f"`inv --dry {task} {session.stack.flags}` prints the plain commands"
    command = _COMMANDS.get(task.partition(".")[0])
    if not command:
        return f"{dry_run}, to run in {session.project.root}"
    settings = session.settings
    filled = command.format(stack=session.stack, compute=settings.compute, kubernetes=settings.kubernetes)
    return f"run the tool in {session.project.root}: `{filled}`; {dry_run}"

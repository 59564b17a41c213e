"""Docker Compose files for one stack: the environment file, and the definitions that depend on the configuration."""

from __future__ import annotations

import posixpath
from functools import partial

from devai_tasks.config import image_names, naming
from devai_tasks.config.naming import CHROMA, LAB, OLLAMA
from devai_tasks.config.rules import ENV_PREFIX
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import PROXIES
from devai_tasks.targets.base import Artifact, texts
from devai_tasks.targets.templating import template
from devai_tasks.workspace.writer import Artifacts

COMPOSE_ENV = "compose/.env"
COMPOSE_STACK = "compose/docker-compose.stack.yml"
FOLDER = "deploy/compose"
# The path of `image.ca_file` in containers, and the variables by which OpenSSL and Go, requests, pip and Node find it.
CA_FILE = "/etc/ssl/devai/ca.crt"
TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")
OVERRIDE = f"{FOLDER}/docker-compose.override.yml"
FORWARDER = "deploy/kubernetes/base/files/forward.pl"


def artifacts(folder: str = "", *, override: bool = False) -> tuple[Artifact, ...]:
    """Return the stack's files.

    Args:
        folder: the folder that the files are written to, relative to the project's root, by which they refer to each
            other; empty for the default.
        override: include the user's own Compose file.
    """
    return (
        Artifact(COMPOSE_ENV, partial(_env_file, folder=folder, override=override)),
        Artifact(COMPOSE_STACK, _definition),
    )


def render(settings: Settings, folder: str = "", *, override: bool = False) -> Artifacts:
    """Return the stack's files: see `artifacts`."""
    return texts(artifacts(folder, override=override), settings)


def _env_file(settings: Settings, *, folder: str, override: bool) -> str:
    generated = folder or f"generated/{settings.stack}"
    files = [f"{FOLDER}/{name}" for name in _structure(settings)]
    if settings.engine.name == "podman":
        files.append(f"{FOLDER}/docker-compose.podman.yml")
    elif settings.gpu.uses_cuda:
        files.append(f"{FOLDER}/docker-compose.gpu.yml")
    files.append(f"{generated}/{COMPOSE_STACK}")
    if override:
        files.append(OVERRIDE)
    return _environment(settings, files=files, state=_from_compose_folder(f".devai/{settings.stack}"))


def _definition(settings: Settings) -> str:
    podman, ca_file = settings.engine.name == "podman", settings.image.ca_file
    return template(
        "docker-compose.stack.yml",
        settings=settings,
        proxies=[name for name in PROXIES if name in settings.secrets],
        services=services(settings),
        env={
            **(dict.fromkeys(TRUST, CA_FILE) if ca_file else {}),
            **({"CHROMA_HOST": CHROMA, "CHROMA_PORT": "8000"} if CHROMA in services(settings) else {}),
            **settings.env,
        },
        env_prefix=ENV_PREFIX,
        ca_file=_from_compose_folder(ca_file) if ca_file else "",
        ca_target=CA_FILE,
        # With rootless Podman, the user is the same in the lab as on the host, and not root in the container.
        userns="keep-id" if podman and settings.engine.rootless else "",
        devices=_podman_gpus(settings) if podman and settings.gpu.uses_cuda else [],
        on_host=settings.ollama.is_on_host,
        amd=settings.gpu.enabled and settings.gpu.vendor == "amd",
        tls_files=["tls.crt", "tls.key"] if settings.tls.local else [],
    )


def example(settings: Settings) -> str:
    """Return deploy/compose/.env.example, for running `docker compose` by hand beside docker-compose.yml."""
    return _environment(settings, files=_structure(settings), state=".", by_hand=True)


def services(settings: Settings) -> tuple[str, ...]:
    """Return the names of the stack's services."""
    enabled = {LAB: True, OLLAMA: settings.ollama.mode == "container", CHROMA: settings.vector_store.kind == CHROMA}
    return tuple(name for name, is_enabled in enabled.items() if is_enabled)


def origin(settings: Settings) -> str:
    """Return scheme and host of the lab's URL for a browser on this machine."""
    address = settings.network.bind_address
    host = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - what a browser can open instead
    return f"{'https' if settings.tls.local else 'http'}://{host}"


def url(settings: Settings) -> str:
    """Return the lab's URL for a browser on this machine."""
    return f"{origin(settings)}:{settings.ports.lab}{settings.network.base_url}lab"


def _structure(settings: Settings) -> list[str]:
    """Return the Compose files that don't depend on the engine.

    A lab that runs as root gets no additional capabilities, so that none remains in it.
    """
    return ["docker-compose.yml", *(["docker-compose.user.yml"] if settings.engine.uid else [])]


def _environment(settings: Settings, *, files: list[str], state: str, by_hand: bool = False) -> str:
    return template(
        "compose.env",
        settings=settings,
        by_hand=by_hand,
        profiles=[service for service in services(settings) if service != LAB],
        project=naming.stack(settings),
        files=files,
        lab_image=image_names.lab(settings),
        ollama_image=image_names.ollama(settings),
        work_dir=_from_compose_folder(settings.storage.work_dir),
        state=state,
        origin=origin(settings),
        ollama_host=settings.ollama.address,
    )


def _podman_gpus(settings: Settings) -> list[str]:
    """Return the GPUs by their names in the Container Device Interface, as registered by NVIDIA's toolkit."""
    count = settings.gpu.count
    return [f"nvidia.com/gpu={index}" for index in (["all"] if count == "all" else range(int(count)))]


def _from_compose_folder(path: str) -> str:
    """Return a path of the project as Compose resolves it: relative to the folder of its first file."""
    return path if path.startswith("/") else posixpath.relpath(path, FOLDER)

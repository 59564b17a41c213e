"""The images of a stack in a cluster that has no registry to pull them from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from devai_tasks.config import image_names
from devai_tasks.engine import docker_cli
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.image import fingerprint
from devai_tasks.targets.kubernetes import image_loaders
from devai_tasks.targets.kubernetes import rendering as kubernetes
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.workspace import state

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings
    from devai_tasks.engine.docker import Docker


def provide(cluster: Cluster, docker: Callable[[], Docker]) -> bool:
    """Have the stack's images in its cluster, built or pulled where they lack or are of other inputs, and note the tag.

    The tag is named after what is in the image: another image is another tag, and so another rollout. Says whether the
    settings have another one, so that they have to be loaded again. `docker` is asked for only where an image lacks.
    """
    settings = cluster.settings
    loader = image_loaders.find(settings.kubernetes.image_loader, settings.kubernetes.context)
    if loader is None:
        raise UsageError(
            f"no way is known to bring images to {settings.kubernetes.context}",
            hint="kubernetes.image_loader names a command that reads an archive, such as "
            "`sudo ctr -n k8s.io images import -`",
        )
    there = present(cluster)
    name, _, tag = image_names.lab(settings).rpartition(":")
    found, made_of = ("", "") if cluster.dry else docker_cli.image(f"{name}:{tag}", fingerprint.LABEL)
    known = found.removeprefix("sha256:")[:12] if made_of == fingerprint.of(cluster.project, settings) else ""
    others = {kubernetes.ollama_image(settings)} if settings.ollama.is_bundled else set()
    if not known or not {f"{name}:{tag}-{known}", *others} <= there:
        known, settings = _bring(cluster, loader, docker(), there)
    loaded = f"{tag}-{known}"
    if cluster.dry or (loaded == settings.image.loaded and settings == cluster.settings):
        return False
    state.record(cluster.project, settings.stack, {"image.loaded": loaded})
    return True


def _bring(cluster: Cluster, loader: image_loaders.Loader, docker: Docker, there: set[str]) -> tuple[str, Settings]:
    """Bring what lacks; returns the beginning of the lab's id, and the settings that name Ollama's image."""
    from devai_tasks.targets.image import building

    settings, project, own = cluster.settings, cluster.project, image_names.lab(cluster.settings)
    if settings.ollama.is_bundled and kubernetes.ollama_image(settings) not in there:
        settings = building.provide_ollama(project, settings, docker)
        name = kubernetes.ollama_image(settings)
        if docker.dry or name not in there:
            if name != image_names.ollama(settings):  # it was pulled by its digest
                docker.tag(image_names.ollama(settings), name)
            _load(loader, docker, name)
    if not docker.dry:
        docker.check()
        building.provide(project, settings, docker)
    known = docker.identify(own)
    if f"{own}-{known}" not in there:
        docker.tag(own, f"{own}-{known}")
        _load(loader, docker, f"{own}-{known}")
    return known, settings


def _load(loader: image_loaders.Loader, docker: Docker, name: str) -> None:
    with console.step(f"loading {name}", silent=True):
        loader.load(docker, name)


def present(cluster: Cluster) -> set[str]:
    """Images that every node of the cluster says it has, as Docker calls them."""
    nodes = cluster.kubectl.objects("nodes")
    found = [
        {_short(name) for entry in node["status"].get("images", ()) for name in entry.get("names") or ()}
        for node in nodes
    ]
    return set.intersection(*found) if found else set()


def _short(name: str) -> str:
    return name.removeprefix("docker.io/").removeprefix("library/")

"""Loading of a stack's images into a cluster that can't pull them from a registry."""

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


def ensure_loaded(cluster: Cluster, docker: Callable[[], Docker]) -> bool:
    """Ensure that the cluster has the stack's current images, and record the tag of the lab's image.

    Missing or outdated images are built or pulled, and loaded. The tag contains the image ID, so another image has
    another tag and causes a rollout.

    Args:
        cluster: the stack's cluster.
        docker: returns the engine; called only where an image is missing.

    Returns:
        Whether the recorded tag has changed, so that the settings have to be reloaded.

    Raises:
        UsageError: no image loader is known for the cluster.
    """
    settings = cluster.settings
    loader = image_loaders.find(settings.kubernetes.image_loader, settings.kubernetes.context)
    if loader is None:
        raise UsageError(
            f"no image loader is known for {settings.kubernetes.context}",
            hint="set kubernetes.image_loader to a command that reads an archive, such as "
            "`sudo ctr -n k8s.io images import -`",
        )
    loaded_images = present(cluster)
    name, _, tag = image_names.lab(settings).rpartition(":")
    image_id, inputs = ("", "") if cluster.dry else docker_cli.image(f"{name}:{tag}", fingerprint.LABEL)
    known = image_id.removeprefix("sha256:")[:12] if inputs == fingerprint.of(cluster.project, settings) else ""
    others = {kubernetes.ollama_image(settings)} if settings.ollama.is_bundled else set()
    if not known or not {f"{name}:{tag}-{known}", *others} <= loaded_images:
        known, settings = _load_missing(cluster, loader, docker(), loaded_images)
    loaded = f"{tag}-{known}"
    if cluster.dry or (loaded == settings.image.loaded and settings == cluster.settings):
        return False
    state.record(cluster.project, settings.stack, {"image.loaded": loaded})
    return True


def _load_missing(
    cluster: Cluster, loader: image_loaders.Loader, docker: Docker, loaded_images: set[str]
) -> tuple[str, Settings]:
    """Load missing images; return the short ID of the lab's image, and the settings that name Ollama's image."""
    from devai_tasks.targets.image import building

    settings, project, lab = cluster.settings, cluster.project, image_names.lab(cluster.settings)
    if settings.ollama.is_bundled and kubernetes.ollama_image(settings) not in loaded_images:
        settings = building.ensure_ollama(project, settings, docker)
        name = kubernetes.ollama_image(settings)
        if docker.dry or name not in loaded_images:
            if name != image_names.ollama(settings):  # the image was pulled by its digest
                docker.tag(image_names.ollama(settings), name)
            _load(loader, docker, name)
    if not docker.dry:
        docker.check()
        building.ensure_current(project, settings, docker)
    known = docker.identify(lab)
    if f"{lab}-{known}" not in loaded_images:
        docker.tag(lab, f"{lab}-{known}")
        _load(loader, docker, f"{lab}-{known}")
    return known, settings


def _load(loader: image_loaders.Loader, docker: Docker, name: str) -> None:
    with console.step(f"loading {name}", silent=True):
        loader.load(docker, name)


def present(cluster: Cluster) -> set[str]:
    """Return the images that every node of the cluster reports, by their names in Docker."""
    nodes = cluster.kubectl.objects("nodes")
    names = [
        {_short(name) for entry in node["status"].get("images", ()) for name in entry.get("names") or ()}
        for node in nodes
    ]
    return set.intersection(*names) if names else set()


def _short(name: str) -> str:
    return name.removeprefix("docker.io/").removeprefix("library/")

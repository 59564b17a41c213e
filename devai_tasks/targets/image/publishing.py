"""Push and pull of the lab's image, which is named after its commit and recorded by its digest."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from devai_tasks import clouds
from devai_tasks.clouds.registry_login import Login
from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine import registry
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images, RegistryRefusedError
from devai_tasks.system import console, git
from devai_tasks.system.errors import DevaiError, ToolError, UsageError
from devai_tasks.targets.image import attestations, building, fingerprint
from devai_tasks.workspace import state

T = TypeVar("T")

# Seconds before each retry; long enough for a registry to restart.
PAUSES = (2, 4, 8, 16)
_REFUSALS = {
    "login": "denies access to",
    "name": "does not have",
    "tag": "does not overwrite tags in",
    "broken": "reports an internal error for",
}
_CODES = {"tag": "DEVAI-IMAGE-007"}


@dataclass(frozen=True)
class Published:
    """The names of an image in a registry, and the digest that it has there."""

    name: str
    """The name with the immutable tag of a commit, or of files that differ from it."""
    mutable: tuple[str, ...]
    """The names with mutable tags, which refer to the last pushed image."""
    digest: str


def names(project: Project, settings: Settings) -> Published:
    """Return the names of the current commit's image in the stack's registry, with the recorded digest.

    If files differ from the commit, the name contains the build fingerprint, because the image may change from push
    to push.
    """
    revision = git.revision(project.root)
    repository = image_names.registry_repository(settings)
    commit = str(revision or "")
    if revision and revision.dirty:
        commit += f"-{fingerprint.of(project, settings)[:8]}"
    return Published(
        name=f"{repository}:{image_names.immutable_tag(settings, commit)}",
        mutable=tuple(f"{repository}:{tag}" for tag in image_names.mutable_tags(settings)),
        digest=settings.image_digest,
    )


def push(project: Project, settings: Settings, docker: Docker, options: building.Options) -> Published:
    """Push the image to the stack's registry, and record its digest in the registry.

    The pushed image is the built one; for several platforms, it is built during the push. Content that the registry
    has already is not sent again, interrupted transfers are retried, and finally the digest is read from the registry.
    """
    published = names(project, settings)
    engine = Images(dry=docker.dry)
    with _registry_session(settings, engine, f"`inv tf.apply {settings.stack.flags}` creates it") as remote:
        if options.is_multi_platform:
            digest = _push_several(project, settings, remote, published, options)
            console.say("no attestations attached: the engine has no local copy of a multi-platform image")
        else:
            digest = _push_one(project, settings, remote, published)
            attestations.attach(project, settings, remote, digest)
    return _recorded(project, settings, replace(published, digest=digest), dry=docker.dry)


def pull(project: Project, settings: Settings, docker: Docker) -> Published:
    """Pull the recorded image by its digest, for the stack to run; without a record, the current commit's image."""
    published = names(project, settings)
    engine = Images(dry=docker.dry)
    with _registry_session(settings, engine, f"`inv image.push {settings.stack.flags}` pushes it") as remote:
        digest = published.digest or _digest(remote, published.name)
        name = (
            f"{image_names.registry_repository(settings)}@{digest}" if digest else published.name
        )  # under --dry, no digest is known
        with console.step(f"pulling {name}"):
            retry(lambda: remote.pull(name))
    engine.tag(name, image_names.lab(settings))
    return _recorded(project, settings, replace(published, digest=digest), dry=docker.dry)


def tag(project: Project, settings: Settings, docker: Docker) -> Published:
    """Tag the built image with the names that it would be pushed under."""
    published = names(project, settings)
    engine = Images(dry=docker.dry)
    _built(project, settings, engine)
    for name in (published.name, *published.mutable):
        engine.tag(image_names.lab(settings), name)
    return published


def _built(project: Project, settings: Settings, engine: Images) -> Mapping[str, Any]:
    """Return the built image.

    Raises:
        UsageError: the image was built from other inputs than those of the current commit.
    """
    built = building.built(settings, engine)
    if fingerprint.of_image(built) not in ("", fingerprint.of(project, settings)):  # a third-party image has no label
        raise UsageError(
            f"{image_names.lab(settings)} was built from other inputs than the current ones, but would be tagged with "
            "the current commit",
            hint=f"run `inv image.build {settings.stack.flags}`",
            code="DEVAI-IMAGE-005",
        )
    return built


def _push_one(project: Project, settings: Settings, remote: Images, published: Published) -> str:
    """Push the engine's image under all its names; return its digest in the registry."""
    built = _built(project, settings, remote)
    image_id = str(built.get("Id", ""))
    check_base(settings, str((built.get("Config", {}).get("Labels") or {}).get("io.devai.base.source", "")))
    manifest = remote.manifest(published.name)
    if manifest and image_id in (manifest.image, manifest.digest):
        console.say(f"{published.name}: present")
    else:
        if manifest:
            raise _taken(published, manifest.digest)
        _push(settings, remote, published.name)
    for name in published.mutable:
        _push(settings, remote, name)
    return _digest(remote, published.name, of=image_id)


def _push(settings: Settings, remote: Images, name: str) -> None:
    remote.tag(image_names.lab(settings), name)
    retry(lambda: remote.push(name))


def _push_several(
    project: Project, settings: Settings, remote: Images, published: Published, options: building.Options
) -> str:
    """Build for several platforms directly into the registry; return the digest of the image index."""
    manifest = remote.manifest(published.name)
    if manifest:
        if manifest.image or not remote.all_have(published.name, fingerprint.LABEL, fingerprint.of(project, settings)):
            raise _taken(published, manifest.digest)
        console.say(f"{published.name}: present")
    else:
        base = building.base_image(project, settings, remote)
        check_base(settings, base.source)
        retry(lambda: building.build(project, settings, remote, options, push=published.name))
    for name in published.mutable:
        retry(partial(remote.alias, published.name, name))
    return _digest(remote, published.name)


def check_base(settings: Settings, source: str) -> None:
    """Raise UsageError for a base image that was built on this machine in place of the official one.

    A registry on this machine is allowed, because no other machine pulls from it.
    """
    if source != "debootstrap":
        return
    host = registry.host(image_names.registry_repository(settings))
    if registry.on_this_machine(host):
        console.say(f"the base image was built by debootstrap; allowed because {host} is on this machine")
        return
    raise UsageError(
        f"the base of this image was built by debootstrap, for use on this machine only; not pushed to {host}",
        hint="build with the official base image if its registry is available: "
        f"`inv image.build {settings.stack.flags} --set=image.base.source=registry`. Push a custom base image to your "
        "own registry, and set image.base to its name",
        code="DEVAI-IMAGE-003",
    )


def _taken(published: Published, digest: str) -> UsageError:
    """Return the error for a name that another image has in the registry."""
    return UsageError(
        f"{published.name} exists already and is another image ({digest}), which may be in use",
        hint="`inv image.pull` pulls that image; to push the local build, commit the changes or change image.version",
        code="DEVAI-IMAGE-006",
    )


def _digest(remote: Images, name: str, *, of: str = "") -> str:
    """Return the digest of a name in the registry.

    Args:
        remote: the engine.
        name: the image's name.
        of: the ID of the image that is expected under the name; empty for any.
    """
    manifest = retry(lambda: remote.manifest(name))
    if remote.dry:
        return ""
    if manifest is None:
        raise RegistryRefusedError("name", f"the registry has no {name}")
    if of and of not in (manifest.image, manifest.digest):
        raise DevaiError(
            f"the registry has {manifest.digest} as {name}, which is not the pushed image", hint="push again"
        )
    return manifest.digest


def retry(action: Callable[[], T]) -> T:
    """Run a registry operation, and retry it after network failures; raise the last error.

    A refusal by the registry is not retried.
    """
    for pause in PAUSES:
        try:
            return action()
        except RegistryRefusedError:
            raise
        except ToolError as error:
            console.warn(f"{error}\nretrying in {pause} s, without what has been transferred already")
            time.sleep(pause)
    return action()


def _recorded(project: Project, settings: Settings, published: Published, *, dry: bool) -> Published:
    """Record the digest for the deployment of the stack."""
    if not dry:
        state.record(project, settings.stack, {settings.image_digest_key: published.digest})
    return published


@contextmanager
def _registry_session(settings: Settings, engine: Images, missing_hint: str) -> Iterator[Images]:
    """Yield the engine, logged in to a registry of the stack's cloud; for other registries the user's login counts.

    Args:
        settings: those of the stack.
        engine: the engine.
        missing_hint: the hint if the registry has no such repository or image.

    Raises:
        DevaiError: the registry refused the operation.
    """
    repository = image_names.registry_repository(settings)
    host = registry.host(repository)
    cloud, region = clouds.WITH_TERRAFORM.get(settings.compute.provider), settings.terraform.region
    not_created = engine.dry and host.endswith(".invalid")  # placeholder until Terraform has created the registry
    registry_cloud = cloud if cloud and (not_created or cloud.owns_registry(host)) else None
    try:
        if not registry_cloud:
            yield engine
            return
        if engine.dry:
            console.say(shlex.join(registry_cloud.registry_command(repository, region)))
            login = Login(registry_cloud.registry_user, "")
        else:
            login = registry_cloud.registry_login(repository, region)
        with engine.logged_in(host, login.username, login.token) as remote:
            yield remote
    except RegistryRefusedError as refused:
        hints = {
            "login": f"check the selected account of {registry_cloud.name} and its permissions on this registry"
            if registry_cloud
            else f"log in with `docker login {host}`, then run the command again",
            "name": missing_hint,
            "tag": "its tags are immutable: leave `image.tags` empty, and use a folder as build cache",
            "broken": "a full disk is a frequent cause; see the registry's log",
        }
        raise DevaiError(
            f"{host} {_REFUSALS[refused.kind]} {repository}\n  {refused}",
            hint=hints[refused.kind],
            code=_CODES.get(refused.kind, ""),
        ) from refused

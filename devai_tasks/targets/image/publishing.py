"""The lab's image on its way to a registry and back: named after its commit, found again by its digest."""

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

# Seconds before each further try: a registry that restarts is back by then.
PAUSES = (2, 4, 8, 16)
_SAID = {
    "login": "does not let you in to",
    "name": "does not have",
    "tag": "does not replace what is in",
    "broken": "has an error of its own with",
}
_CODES = {"tag": "DEVAI-IMAGE-007"}


@dataclass(frozen=True)
class Published:
    """The names of an image in a registry, and the digest that it has there."""

    name: str
    """With the tag that belongs to one commit, or to files that differ from it, and never moves."""
    mutable: tuple[str, ...]
    """The others, which go to whatever was pushed last."""
    digest: str


def names(project: Project, settings: Settings) -> Published:
    """What the image of the present commit is called in the stack's registry, with the digest that is recorded.

    Where files differ from the commit, what the image is made of is in the name, too: it may change from push to push.
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
    """Send the image to the stack's registry, and record the digest that it has there.

    The image is the one that was built; for several platforms it is built on the way. What the registry has is not
    sent again, what was cut is tried again, and in the end the registry is asked what it has.
    """
    wanted = names(project, settings)
    engine = Images(dry=docker.dry)
    with _reached(settings, engine, f"`inv tf.apply {settings.stack.flags}` makes it") as remote:
        if options.several:
            digest = _push_several(project, settings, remote, wanted, options)
            console.say("no documents beside it: the engine has no image for several platforms to look into")
        else:
            digest = _push_one(project, settings, remote, wanted)
            attestations.attach(project, settings, remote, digest)
    return _recorded(project, settings, replace(wanted, digest=digest), dry=docker.dry)


def pull(project: Project, settings: Settings, docker: Docker) -> Published:
    """Bring the image that is recorded, by its digest, for the stack to run; without a record that of this commit."""
    wanted = names(project, settings)
    engine = Images(dry=docker.dry)
    with _reached(settings, engine, f"`inv image.push {settings.stack.flags}` sends it there") as remote:
        digest = wanted.digest or _digest(remote, wanted.name)
        name = (
            f"{image_names.registry_repository(settings)}@{digest}" if digest else wanted.name
        )  # none is known under --dry
        with console.step(f"pulling {name}"):
            retry(lambda: remote.pull(name))
    engine.tag(name, image_names.lab(settings))
    return _recorded(project, settings, replace(wanted, digest=digest), dry=docker.dry)


def tag(project: Project, settings: Settings, docker: Docker) -> Published:
    """Give the image that was built the names that it would be pushed under."""
    wanted = names(project, settings)
    engine = Images(dry=docker.dry)
    _built(project, settings, engine)
    for name in (wanted.name, *wanted.mutable):
        engine.tag(image_names.lab(settings), name)
    return wanted


def _built(project: Project, settings: Settings, engine: Images) -> Mapping[str, Any]:
    """The image that was built. Raises UsageError for one that the present commit's name would be wrong for."""
    built = building.built(settings, engine)
    if fingerprint.made_of(built) not in ("", fingerprint.of(project, settings)):  # another's image may have no label
        raise UsageError(
            f"{image_names.lab(settings)} was built of other inputs than now, and the tag would say the present commit",
            hint=f"run `inv image.build {settings.stack.flags}`",
            code="DEVAI-IMAGE-005",
        )
    return built


def _push_one(project: Project, settings: Settings, remote: Images, wanted: Published) -> str:
    """Push the engine's own image under all its names; returns the digest that the registry has it by."""
    built = _built(project, settings, remote)
    own = str(built.get("Id", ""))
    check_base(settings, str((built.get("Config", {}).get("Labels") or {}).get("io.devai.base.source", "")))
    there = remote.manifest(wanted.name)
    if there and own in (there.image, there.digest):
        console.say(f"{wanted.name}: present")
    else:
        if there:
            raise _taken(wanted, there.digest)
        _push(settings, remote, wanted.name)
    for name in wanted.mutable:
        _push(settings, remote, name)
    return _digest(remote, wanted.name, of=own)


def _push(settings: Settings, remote: Images, name: str) -> None:
    remote.tag(image_names.lab(settings), name)
    retry(lambda: remote.push(name))


def _push_several(
    project: Project, settings: Settings, remote: Images, wanted: Published, options: building.Options
) -> str:
    """Build for several platforms, straight into the registry; returns the digest of their index."""
    there = remote.manifest(wanted.name)
    if there:
        if there.image or not remote.all_have(wanted.name, fingerprint.LABEL, fingerprint.of(project, settings)):
            raise _taken(wanted, there.digest)
        console.say(f"{wanted.name}: present")
    else:
        base = building.base_image(project, settings, remote)
        check_base(settings, base.source)
        retry(lambda: building.build(project, settings, remote, options, push=wanted.name))
    for name in wanted.mutable:
        retry(partial(remote.alias, wanted.name, name))
    return _digest(remote, wanted.name)


def check_base(settings: Settings, source: str) -> None:
    """Raise UsageError for a base that was made here and would be passed off as the official one to others.

    A registry of this machine may have it: nobody else pulls from there.
    """
    if source != "debootstrap":
        return
    host = registry.host(image_names.registry_repository(settings))
    if registry.on_this_machine(host):
        console.say(f"the base was made here by debootstrap: for {host}, which is on this machine, that will do")
        return
    raise UsageError(
        f"the base of this image was made here by debootstrap, which is for this machine only: {host} does not get it",
        hint=f"build on the official one, where its registry answers: `inv image.build {settings.stack.flags} "
        "--set=image.base.source=registry`. A base of your own goes to a registry of yours, its name into image.base",
        code="DEVAI-IMAGE-003",
    )


def _taken(wanted: Published, digest: str) -> UsageError:
    """That another image has the name."""
    return UsageError(
        f"{wanted.name} is there already and is another image ({digest}), so others may rely on it",
        hint="`inv image.pull` takes that one; what you have built needs a commit of its own, or another image.version",
        code="DEVAI-IMAGE-006",
    )


def _digest(remote: Images, name: str, *, of: str = "") -> str:
    """The digest that the registry has a name by; `of` an image of the engine, if given."""
    there = retry(lambda: remote.manifest(name))
    if remote.dry:
        return ""
    if there is None:
        raise RegistryRefusedError("name", f"the registry has no {name}")
    if of and of not in (there.image, there.digest):
        raise DevaiError(f"the registry has {there.digest} as {name}, and that is not what was sent", hint="push again")
    return there.digest


def retry(action: Callable[[], T]) -> T:
    """Do something with a registry, and again for as long as what fails is the way there. Raises what came last."""
    for pause in PAUSES:
        try:
            return action()
        except RegistryRefusedError:
            raise
        except ToolError as error:
            console.warn(f"{error}\nagain in {pause} s, with what has not arrived yet")
            time.sleep(pause)
    return action()


def _recorded(project: Project, settings: Settings, published: Published, *, dry: bool) -> Published:
    """Keep the digest for what rolls the stack out."""
    if not dry:
        state.record(project, settings.stack, {settings.image_digest_key: published.digest})
    return published


@contextmanager
def _reached(settings: Settings, engine: Images, where_missing: str) -> Iterator[Images]:
    """The engine, logged in where the registry is one of the stack's cloud; else with the person's own login.

    A registry's no becomes one message with a hint.
    """
    repository = image_names.registry_repository(settings)
    host = registry.host(repository)
    cloud, region = clouds.WITH_TERRAFORM.get(settings.compute.provider), settings.terraform.region
    to_come = engine.dry and host.endswith(".invalid")  # until Terraform has made it
    own = cloud if cloud and (to_come or cloud.owns_registry(host)) else None
    try:
        if not own:
            yield engine
            return
        if engine.dry:
            console.say(shlex.join(own.registry_command(repository, region)))
            login = Login(own.registry_user, "")
        else:
            login = own.registry_login(repository, region)
        with engine.logged_in(host, login.username, login.token) as remote:
            yield remote
    except RegistryRefusedError as refused:
        hints = {
            "login": f"is the right account chosen for {own.name}, and may it use this registry?"
            if own
            else f"`docker login {host}`, then again",
            "name": where_missing,
            "tag": "its tags never move: leave `image.tags` empty, and have a cache of builds in a folder",
            "broken": "often its disk is full; its own log says",
        }
        raise DevaiError(
            f"{host} {_SAID[refused.no]} {repository}\n  {refused}",
            hint=hints[refused.no],
            code=_CODES.get(refused.no, ""),
        ) from refused

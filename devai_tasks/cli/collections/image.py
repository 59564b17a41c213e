"""Images: what the lab runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import Request, stack_task
from devai_tasks.config import image_names
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError, unknown

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings
    from devai_tasks.targets.image.publishing import Published

_BUILD = {
    "platform": "for which machines, as linux/amd64,linux/arm64 (default: the engine's own)",
    "cache_from": "a cache to use: `registry`, a folder, or BuildKit's `type=…` (default: the builder's own)",
    "cache_to": "a cache to fill, in the same words (default: none but the builder's own)",
}
_JSON = {"json": "for programs (default: for people)"}


@stack_task(
    target="image",
    owned=True,
    help={**_BUILD, "no_cache": "make every step anew (default: reuse what has not changed)"},
)
def build(
    c: Context,
    request: Request,
    platform: str = "",
    cache_from: str = "",
    cache_to: str = "",
    no_cache: bool = False,
) -> None:
    """Build the lab's image."""
    from devai_tasks.targets.image import building

    wanted = building.options(platform, cache_from, cache_to, fresh=no_cache)
    request.docker.check()
    building.build(request.project, request.settings, request.docker, wanted)


@stack_task(target="image", changes=True, help={**_BUILD, **_JSON})
def push(
    c: Context, request: Request, platform: str = "", cache_from: str = "", cache_to: str = "", json: bool = False
) -> None:
    """Push the image that was built to the stack's registry, and record its digest for the stack."""
    from devai_tasks.targets.image import building, publishing

    wanted = building.options(platform, cache_from, cache_to)
    settings = _with_registry(request)
    request.docker.check()
    _show(publishing.push(request.project, settings, request.docker, wanted), json=json)


def roll_out(request: Request) -> None:
    """Build where something has changed, and push where the registry has not this very image."""
    from devai_tasks.stack import overview
    from devai_tasks.targets.image import building, publishing

    settings = _with_registry(request)
    request.docker.check()
    described = building.provide(request.project, settings, request.docker)
    if overview.is_pushed(settings, described):
        return console.say(f"{publishing.names(request.project, settings).digest}: pushed already")
    _show(publishing.push(request.project, settings, request.docker, building.Options()), json=False)


@stack_task(target="image", changes=True, help=_JSON)
def pull(c: Context, request: Request, json: bool = False) -> None:
    """Pull the stack's image by the recorded digest, for this machine to run."""
    from devai_tasks.targets.image import publishing

    settings = _with_registry(request)
    request.docker.check()
    _show(publishing.pull(request.project, settings, request.docker), json=json)


@stack_task(target="image", owned=True, help=_JSON)
def tag(c: Context, request: Request, json: bool = False) -> None:
    """Give the image that was built its names in the registry, and show them."""
    from devai_tasks.targets.image import publishing

    settings = _with_registry(request)
    request.docker.check()
    _show(publishing.tag(request.project, settings, request.docker), json=json)


@stack_task(help=_JSON)
def inspect(c: Context, request: Request, json: bool = False) -> None:
    """Show what an image is, what it was made of, and where it is."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory

    request.docker.check()
    found = inventory.describe(request.settings, Images(dry=request.dry))
    if request.dry:
        return None
    if json:
        return console.show_json(found)
    for name, value in found.items():
        console.show(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
    return None


@stack_task(help=_JSON)
def size(c: Context, request: Request, json: bool = False) -> None:
    """Show what takes room in an image."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory

    request.docker.check()
    rows = inventory.layers(request.settings, Images(dry=request.dry))
    if request.dry:
        return None
    total = sum(row["bytes"] for row in rows)
    if json:
        return console.show_json({"bytes": total, "layers": rows})
    lines = [[console.size(row["bytes"]), row["step"][:100]] for row in rows]
    return console.table(["size", "step"], [*lines, [console.size(total), "all"]])


@stack_task(help={"output": "file to write to (default: the terminal)"})
def sbom(c: Context, request: Request, output: str = "") -> None:
    """Write the image's bill of materials: all its packages, in CycloneDX."""
    from pathlib import Path

    from devai_tasks.engine.images import Images
    from devai_tasks.system import user_files
    from devai_tasks.targets.image import inventory
    from devai_tasks.workspace import work_dir

    request.docker.check()
    text = inventory.bill_of_materials(request.settings, Images(dry=request.dry))
    if request.dry:
        return None
    if not output:
        return console.show(text)
    with user_files.new(Path(output), work_dir.shared(request.project, request.settings), replacing=True) as file:
        file.write(text.encode())
    console.say(f"wrote {output}")


@stack_task(help={"scanner": "trivy, grype or pip-audit (default: the first that is there)", **_JSON})
def scan(c: Context, request: Request, scanner: str = "", json: bool = False) -> None:
    """Look for known weaknesses of the image's packages; exit code 1 where there are any."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory, scanners

    chosen = scanners.find(scanner)
    request.docker.check()
    python = {
        package.name: package.version
        for package in inventory.packages(request.settings, Images(dry=request.dry))
        if package.kind == "pypi"
    }
    found = scanners.scan(chosen, image_names.lab(request.settings), python, json=json, dry=request.dry)
    console.show(found.text)
    if found.any:
        raise Exit(code=1)


@stack_task(help=_JSON)
def base(c: Context, request: Request, json: bool = False) -> None:
    """Have the base image that the lab's is built on, and show where it came from."""
    from devai_tasks.targets.image import building

    request.docker.check()
    found = building.base_image(request.project, request.settings, request.docker)
    if json:
        console.show_json(vars(found))
    else:
        console.show(f"{found.name} ({found.source}{f', {found.digest}' if found.digest else ''})")


@stack_task(target="image", changes=True, asks=True)
def prune(c: Context, request: Request) -> None:
    """Remove this project's images that nothing names any more, and names of other commits."""
    from devai_tasks.cli import confirm
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.compose import ownership
    from devai_tasks.targets.image import pruning

    request.docker.check()
    engine = Images(dry=request.dry)
    names = pruning.find(request.project, request.settings, engine)
    if request.dry:
        return None
    ownership.check_images(request.project, request.settings, engine)
    if not names:
        return console.say("nothing to remove")
    for name in names:
        console.say(f"  {name}")
    confirm.allow(request, f"these {len(names)} images are removed")
    engine.remove(names)
    return console.say(f"removed {len(names)}")


@stack_task(help={"only": "packages, tools or images (default: all three)"})
def lock(c: Context, request: Request, only: str = "") -> None:
    """Lock the newest Python packages and command-line tools of the lab's image, and the digests of others' images."""
    from devai_tasks.system import npm, uv

    kinds = ("images", "packages", "tools")
    if only and only not in kinds:
        raise UsageError(unknown("kind of lock", only, kinds))
    folder = request.project.root / "deploy/image"
    if only in ("", "images"):  # first, for where no registry answers nothing is changed
        _pin(request)
    if only in ("", "packages"):
        for requirements in sorted(folder.glob("requirements/*.in")):
            uv.lock(requirements, requirements.with_suffix(".lock"), dry=request.dry)
    if only in ("", "tools"):
        for tool in sorted(folder.glob("tools/*/package.json")):
            npm.lock(tool.parent, dry=request.dry)


def _pin(request: Request) -> None:
    """Write the digests of the images of others that the stack may run or build on."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import pins as bases

    request.docker.check()
    pins = bases.lock(request.project, image_names.third_party(request.settings), Images(dry=request.dry))
    if pins:
        console.say("\n".join([f"{bases.PINS}: commit it, and each stack has these", *pins]))


def _with_registry(request: Request) -> Settings:
    """The settings of a stack whose registry is known. Raises UsageError for another."""
    settings = request.settings if request.dry else request.configuration.to_deploy(("image", "registry"))
    if not settings.image.registry:
        raise UsageError("image.registry is empty", hint="name one, as `--set image.registry=127.0.0.1:5000/lab`")
    return settings


def _show(published: Published, *, json: bool) -> None:
    """The names of an image; the one that stays comes first."""
    if json:
        shown = {"name": published.name, "moving": list(published.moving), "digest": published.digest}
        return console.show_json(shown)
    lines = [published.name, *published.moving, *([published.digest] if published.digest else [])]
    console.show("\n".join(lines))

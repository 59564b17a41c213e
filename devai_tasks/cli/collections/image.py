"""Images: build, push, inspect and scan the lab's image."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import stack_task
from devai_tasks.config import image_names
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError, unknown

_BUILD = {
    "platform": "platforms to build for, such as linux/amd64,linux/arm64 (default: the engine's platform)",
    "cache_from": "cache to read: `registry`, a folder, or BuildKit's `type=…` (default: the builder's cache)",
    "cache_to": "cache to write, in the same syntax (default: the builder's cache only)",
}
_JSON = {"json": "print JSON (default: text)"}


@stack_task(
    target="image",
    owned=True,
    help={**_BUILD, "no_cache": "rebuild every step (default: use the cache)"},
)
def build(
    c: Context,
    session: Session,
    platform: str = "",
    cache_from: str = "",
    cache_to: str = "",
    no_cache: bool = False,
) -> None:
    """Build the lab's image."""
    from devai_tasks.targets.image import building

    options = building.options(platform, cache_from, cache_to, fresh=no_cache)
    session.docker.check()
    building.build(session.project, session.settings, session.docker, options)


@stack_task(target="image", changes=True, help={**_BUILD, **_JSON})
def push(
    c: Context, session: Session, platform: str = "", cache_from: str = "", cache_to: str = "", json: bool = False
) -> None:
    """Push the built image to the stack's registry, and record its digest for the stack."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import building, publishing

    options = building.options(platform, cache_from, cache_to)
    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.push(session.project, settings, session.docker, options), json=json)


@stack_task(target="image", changes=True, help=_JSON)
def pull(c: Context, session: Session, json: bool = False) -> None:
    """Pull the stack's image by its recorded digest, to run it on this machine."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import publishing

    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.pull(session.project, settings, session.docker), json=json)


@stack_task(target="image", owned=True, help=_JSON)
def tag(c: Context, session: Session, json: bool = False) -> None:
    """Tag the built image with its names in the registry, and print the names."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import publishing

    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.tag(session.project, settings, session.docker), json=json)


@stack_task(help=_JSON)
def inspect(c: Context, session: Session, json: bool = False) -> None:
    """Show the image's name, size, version, source, base image and digests."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory

    session.docker.check()
    result = inventory.describe(session.settings, Images(dry=session.dry))
    if session.dry:
        return None
    if json:
        return console.show_json(result)
    for name, value in result.items():
        console.show(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
    return None


@stack_task(help=_JSON)
def size(c: Context, session: Session, json: bool = False) -> None:
    """Show the size of each layer of the image."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory

    session.docker.check()
    rows = inventory.layers(session.settings, Images(dry=session.dry))
    if session.dry:
        return None
    total = sum(row["bytes"] for row in rows)
    if json:
        return console.show_json({"bytes": total, "layers": rows})
    lines = [[console.size(row["bytes"]), row["step"][:100]] for row in rows]
    return console.table(["size", "step"], [*lines, [console.size(total), "all"]])


@stack_task(help={"output": "file to write to (default: standard output)"})
def sbom(c: Context, session: Session, output: str = "") -> None:
    """Write the image's software bill of materials (SBOM): all packages, as CycloneDX."""
    from pathlib import Path

    from devai_tasks.engine.images import Images
    from devai_tasks.system import user_files
    from devai_tasks.targets.image import inventory
    from devai_tasks.workspace import work_dir

    session.docker.check()
    text = inventory.sbom(session.settings, Images(dry=session.dry))
    if session.dry:
        return None
    if not output:
        return console.show(text)
    with user_files.new(Path(output), work_dir.shared(session.project, session.settings), replacing=True) as file:
        file.write(text.encode())
    console.say(f"wrote {output}")


@stack_task(help={"scanner": "trivy, grype or pip-audit (default: the first that is installed)", **_JSON})
def scan(c: Context, session: Session, scanner: str = "", json: bool = False) -> None:
    """Scan the image's packages for known vulnerabilities; exit with 1 if there are any."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory, scanners

    chosen = scanners.find(scanner)
    session.docker.check()
    python = {
        package.name: package.version
        for package in inventory.packages(session.settings, Images(dry=session.dry))
        if package.kind == "pypi"
    }
    result = scanners.scan(chosen, image_names.lab(session.settings), python, json=json, dry=session.dry)
    console.show(result.text)
    if result.any:
        raise Exit(code=1)


@stack_task(help=_JSON)
def base(c: Context, session: Session, json: bool = False) -> None:
    """Ensure that the base image of the lab's image exists, and show its source."""
    from devai_tasks.targets.image import building

    session.docker.check()
    result = building.base_image(session.project, session.settings, session.docker)
    if json:
        console.show_json(vars(result))
    else:
        console.show(f"{result.name} ({result.source}{f', {result.digest}' if result.digest else ''})")


@stack_task(target="image", changes=True, asks=True)
def prune(c: Context, session: Session) -> None:
    """Remove this project's images without a tag, and tags of other commits."""
    from devai_tasks.engine.images import Images
    from devai_tasks.stack import consent
    from devai_tasks.targets.compose import ownership
    from devai_tasks.targets.image import pruning

    session.docker.check()
    engine = Images(dry=session.dry)
    names = pruning.find(session.project, session.settings, engine)
    if session.dry:
        return None
    ownership.check_images(session.project, session.settings, engine)
    if not names:
        return console.say("nothing to remove")
    for name in names:
        console.say(f"  {name}")
    consent.allow(session, f"these {len(names)} images are removed")
    engine.remove(names)
    return console.say(f"removed {len(names)}")


@stack_task(help={"only": "packages, tools or images (default: all)"})
def lock(c: Context, session: Session, only: str = "") -> None:
    """Lock the newest Python packages, command-line tools and third-party image digests for the lab's image."""
    from devai_tasks.system import npm, uv

    kinds = ("images", "packages", "tools")
    if only and only not in kinds:
        raise UsageError(unknown("kind of lock", only, kinds))
    folder = session.project.root / "deploy/image"
    if only in ("", "images"):  # first: if no registry answers, nothing is changed
        _pin(session)
    if only in ("", "packages"):
        for requirements in sorted(folder.glob("requirements/*.in")):
            uv.lock(requirements, requirements.with_suffix(".lock"), dry=session.dry)
    if only in ("", "tools"):
        for tool in sorted(folder.glob("tools/*/package.json")):
            npm.lock(tool.parent, dry=session.dry)


def _pin(session: Session) -> None:
    """Lock the digests of the third-party images that the stack may run or build on."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import pins

    session.docker.check()
    lines = pins.lock(session.project, image_names.third_party(session.settings), Images(dry=session.dry))
    if lines:
        console.say("\n".join([f"{pins.PINS} was updated; commit it to use these digests in every stack", *lines]))

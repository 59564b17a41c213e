"""Images: what the lab runs."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import stack_task
from devai_tasks.config import image_names
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError, unknown

_BUILD = {
    "platform": "for which machines, as linux/amd64,linux/arm64 (default: the engine's own)",
    "cache_from": "a cache to use: `registry`, a folder, or BuildKit's `type=…` (default: the builder's own)",
    "cache_to": "a cache to fill, in the same words (default: none but the builder's own)",
}
_JSON = {"json": "for programs (default: for people)"}


@stack_task(
    target="image",
    owned=True,
    help={**_BUILD, "no_cache": "rebuild every step (default: reuse what has not changed)"},
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

    wanted = building.options(platform, cache_from, cache_to, fresh=no_cache)
    session.docker.check()
    building.build(session.project, session.settings, session.docker, wanted)


@stack_task(target="image", changes=True, help={**_BUILD, **_JSON})
def push(
    c: Context, session: Session, platform: str = "", cache_from: str = "", cache_to: str = "", json: bool = False
) -> None:
    """Push the image that was built to the stack's registry, and record its digest for the stack."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import building, publishing

    wanted = building.options(platform, cache_from, cache_to)
    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.push(session.project, settings, session.docker, wanted), json=json)


@stack_task(target="image", changes=True, help=_JSON)
def pull(c: Context, session: Session, json: bool = False) -> None:
    """Pull the stack's image by the recorded digest, for this machine to run."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import publishing

    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.pull(session.project, settings, session.docker), json=json)


@stack_task(target="image", owned=True, help=_JSON)
def tag(c: Context, session: Session, json: bool = False) -> None:
    """Give the image that was built its names in the registry, and show them."""
    from devai_tasks.stack import image_step
    from devai_tasks.targets.image import publishing

    settings = image_step.with_registry(session)
    session.docker.check()
    image_step.show(publishing.tag(session.project, settings, session.docker), json=json)


@stack_task(help=_JSON)
def inspect(c: Context, session: Session, json: bool = False) -> None:
    """Show what an image is, what it was made of, and where it is."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory

    session.docker.check()
    found = inventory.describe(session.settings, Images(dry=session.dry))
    if session.dry:
        return None
    if json:
        return console.show_json(found)
    for name, value in found.items():
        console.show(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
    return None


@stack_task(help=_JSON)
def size(c: Context, session: Session, json: bool = False) -> None:
    """Show what takes room in an image."""
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


@stack_task(help={"output": "file to write to (default: the terminal)"})
def sbom(c: Context, session: Session, output: str = "") -> None:
    """Write the image's bill of materials: all its packages, in CycloneDX."""
    from pathlib import Path

    from devai_tasks.engine.images import Images
    from devai_tasks.system import user_files
    from devai_tasks.targets.image import inventory
    from devai_tasks.workspace import work_dir

    session.docker.check()
    text = inventory.bill_of_materials(session.settings, Images(dry=session.dry))
    if session.dry:
        return None
    if not output:
        return console.show(text)
    with user_files.new(Path(output), work_dir.shared(session.project, session.settings), replacing=True) as file:
        file.write(text.encode())
    console.say(f"wrote {output}")


@stack_task(help={"scanner": "trivy, grype or pip-audit (default: the first that is there)", **_JSON})
def scan(c: Context, session: Session, scanner: str = "", json: bool = False) -> None:
    """Look for known weaknesses of the image's packages; exit code 1 where there are any."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import inventory, scanners

    chosen = scanners.find(scanner)
    session.docker.check()
    python = {
        package.name: package.version
        for package in inventory.packages(session.settings, Images(dry=session.dry))
        if package.kind == "pypi"
    }
    found = scanners.scan(chosen, image_names.lab(session.settings), python, json=json, dry=session.dry)
    console.show(found.text)
    if found.any:
        raise Exit(code=1)


@stack_task(help=_JSON)
def base(c: Context, session: Session, json: bool = False) -> None:
    """Have the base image that the lab's is built on, and show where it came from."""
    from devai_tasks.targets.image import building

    session.docker.check()
    found = building.base_image(session.project, session.settings, session.docker)
    if json:
        console.show_json(vars(found))
    else:
        console.show(f"{found.name} ({found.source}{f', {found.digest}' if found.digest else ''})")


@stack_task(target="image", changes=True, asks=True)
def prune(c: Context, session: Session) -> None:
    """Remove this project's images that nothing names any more, and names of other commits."""
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


@stack_task(help={"only": "packages, tools or images (default: all three)"})
def lock(c: Context, session: Session, only: str = "") -> None:
    """Lock the newest Python packages and command-line tools of the lab's image, and the digests of others' images."""
    from devai_tasks.system import npm, uv

    kinds = ("images", "packages", "tools")
    if only and only not in kinds:
        raise UsageError(unknown("kind of lock", only, kinds))
    folder = session.project.root / "deploy/image"
    if only in ("", "images"):  # first, for where no registry answers nothing is changed
        _pin(session)
    if only in ("", "packages"):
        for requirements in sorted(folder.glob("requirements/*.in")):
            uv.lock(requirements, requirements.with_suffix(".lock"), dry=session.dry)
    if only in ("", "tools"):
        for tool in sorted(folder.glob("tools/*/package.json")):
            npm.lock(tool.parent, dry=session.dry)


def _pin(session: Session) -> None:
    """Write the digests of the images of others that the stack may run or build on."""
    from devai_tasks.engine.images import Images
    from devai_tasks.targets.image import pins as bases

    session.docker.check()
    pins = bases.lock(session.project, image_names.third_party(session.settings), Images(dry=session.dry))
    if pins:
        console.say("\n".join([f"{bases.PINS}: commit it, and each stack has these", *pins]))

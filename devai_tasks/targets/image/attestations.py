"""What is said of a pushed image, beside it in its registry: its bill of materials, and what it was made of."""

from __future__ import annotations

import hashlib
import json
import shlex
from importlib.metadata import version
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.images import Images
from devai_tasks.engine.referrers import Document, Repository
from devai_tasks.system import console
from devai_tasks.system.errors import MissingToolError, ToolError
from devai_tasks.targets.image import fingerprint, inventory
from devai_tasks.targets.image import rendering as image

SBOM = "application/vnd.cyclonedx+json"
STATEMENT = "application/vnd.in-toto+json"
PROVENANCE = "https://slsa.dev/provenance/v1"


def attach(project: Project, settings: Settings, remote: Images, digest: str) -> None:
    """Push the image's bill of materials and its provenance as referrers of its digest; warn where that can't be.

    The image itself is in the registry by then: who asks for these documents and finds none knows it.
    """
    repository = image_names.registry_repository(settings)
    if remote.dry:
        for kind, file in ((SBOM, "sbom.json"), (STATEMENT, "provenance.json")):
            console.say(shlex.join(["oras", "attach", f"--artifact-type={kind}", f"{repository}@DIGEST", file]))
        return
    try:
        documents = [_provenance(project, settings, remote, digest), *_bill_of_materials(settings, remote)]
        new = Repository(repository, remote.logins).attach(digest, documents)
    except ToolError as error:
        console.warn(f"{repository}@{digest} has no new documents beside it: {error}", "DEVAI-IMAGE-004")
        return
    console.say(f"{repository}@{digest}: documents beside it: {len(documents)}, {len(new)} of them new")


def _bill_of_materials(settings: Settings, engine: Images) -> list[Document]:
    try:
        text = inventory.sbom(settings, engine)
    except (ToolError, MissingToolError) as error:
        console.warn(f"no bill of materials beside the image: {error}")
        return []
    return [Document(SBOM, text.encode())]


def _provenance(project: Project, settings: Settings, engine: Images, digest: str) -> Document:
    text = json.dumps(statement(project, settings, engine, digest), indent=2, sort_keys=True) + "\n"
    # By which those who look for provenance find it, as cosign and BuildKit write it.
    return Document(STATEMENT, text.encode(), {"in-toto.io/predicate-type": PROVENANCE})


def statement(project: Project, settings: Settings, engine: Images, digest: str) -> dict[str, Any]:
    """What the image was made of, as an in-toto statement with the predicate of SLSA 1; without times.

    https://slsa.dev/spec/v1.0/provenance. It is not signed: it says no more than who may push to the registry.
    """
    about = inventory.describe(settings, engine)
    target = image.target(settings)
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": image_names.registry_repository(settings), "digest": {"sha256": digest.removeprefix("sha256:")}}
        ],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:devai-tasks:image-build:1",
                "externalParameters": {
                    "dockerfile": target["dockerfile"],
                    "packages": image.packages(settings),
                    "tools": sorted(settings.image.tools),
                    "compilers": settings.image.compilers,
                    "version": about["version"],
                },
                "internalParameters": {"inputs": fingerprint.of(project, settings)},
                "resolvedDependencies": [*_base(about), *_source(about), *_locks(project, settings)],
            },
            "runDetails": {
                "builder": {"id": "urn:devai-tasks:builder:local", "version": {"devai-tasks": version("devai-tasks")}}
            },
        },
    }


def _base(about: dict[str, Any]) -> list[dict[str, Any]]:
    known = {"digest": {"sha256": about["base_digest"].removeprefix("sha256:")}} if about["base_digest"] else {}
    return [
        {"name": "base", "uri": f"docker://{about['base']}", "annotations": {"source": about["base_source"]}, **known}
    ]


def _source(about: dict[str, Any]) -> list[dict[str, Any]]:
    """The commit, and whether files differed from it; nothing without git."""
    commit, _, dirty = about["revision"].partition("-")
    if not commit:
        return []
    where = {"uri": f"git+{about['source']}@{commit}"} if about["source"] else {}
    return [{"name": "source", **where, "digest": {"gitCommit": commit}, "annotations": {"dirty": bool(dirty)}}]


def _locks(project: Project, settings: Settings) -> list[dict[str, Any]]:
    """The locks that the image's packages and tools are installed by."""
    folder = project.root / "deploy/image"
    files = [folder / f"requirements/{image.packages(settings)}.lock"]
    if settings.image.tools:
        files += [folder / "requirements/tools.lock"]
        files += [folder / f"tools/{tool}/package-lock.json" for tool in sorted(set(settings.image.tools))]
    return [
        {
            "name": file.relative_to(project.root).as_posix(),
            "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
        }
        for file in files
    ]

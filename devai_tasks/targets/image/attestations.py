"""Attestations of a pushed image in its registry: its SBOM and its provenance."""

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
    """Push the image's SBOM and its provenance as referrers of its digest; on failure only warn.

    The image itself has been pushed by then, and a missing attestation is noticed by whatever verifies it.
    """
    repository = image_names.registry_repository(settings)
    if remote.dry:
        for kind, file in ((SBOM, "sbom.json"), (STATEMENT, "provenance.json")):
            console.say(shlex.join(["oras", "attach", f"--artifact-type={kind}", f"{repository}@DIGEST", file]))
        return
    try:
        documents = [_provenance(project, settings, remote, digest), *_sbom(settings, remote)]
        new = Repository(repository, remote.logins).attach(digest, documents)
    except ToolError as error:
        console.warn(f"no attestations were attached to {repository}@{digest}: {error}", "DEVAI-IMAGE-004")
        return
    console.say(f"{repository}@{digest}: attached attestations: {len(documents)}, of which new: {len(new)}")


def _sbom(settings: Settings, engine: Images) -> list[Document]:
    try:
        text = inventory.sbom(settings, engine)
    except (ToolError, MissingToolError) as error:
        console.warn(f"no SBOM was attached to the image: {error}")
        return []
    return [Document(SBOM, text.encode())]


def _provenance(project: Project, settings: Settings, engine: Images, digest: str) -> Document:
    text = json.dumps(statement(project, settings, engine, digest), indent=2, sort_keys=True) + "\n"
    # The annotation by which tools find provenance, as written by cosign and BuildKit.
    return Document(STATEMENT, text.encode(), {"in-toto.io/predicate-type": PROVENANCE})


def statement(project: Project, settings: Settings, engine: Images, digest: str) -> dict[str, Any]:
    """Return the image's provenance as an in-toto statement with the SLSA 1 predicate, without times.

    https://slsa.dev/spec/v1.0/provenance describes the predicate. The statement is not signed, so it is only as
    trustworthy as anyone with push access to the registry.
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
    """Return the commit, and whether files differed from it; empty without git."""
    commit, _, dirty = about["revision"].partition("-")
    if not commit:
        return []
    where = {"uri": f"git+{about['source']}@{commit}"} if about["source"] else {}
    return [{"name": "source", **where, "digest": {"gitCommit": commit}, "annotations": {"dirty": bool(dirty)}}]


def _locks(project: Project, settings: Settings) -> list[dict[str, Any]]:
    """Return the lock files of the image's packages and tools."""
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

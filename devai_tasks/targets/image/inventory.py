"""The contents of an image: its labels, layers and packages, and its SBOM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devai_tasks.config import image_names
from devai_tasks.config.schema import Settings
from devai_tasks.engine.images import Images
from devai_tasks.system.errors import MissingToolError
from devai_tasks.targets.image import building

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

PYTHON = "/opt/lab/bin/python"
# npm's hidden lockfile of each installed tool, one file after the other.
_NPM = (
    "find", "/opt", "-maxdepth", "4", "-path", "/opt/tools/*/node_modules/.package-lock.json", "-exec", "cat", "{}", "+"
)  # fmt: skip
_DPKG_FIELDS = "${Package}\\t${Version}\\t${Architecture}\\n"


@dataclass(frozen=True)
class Package:
    """One package in an image."""

    kind: str
    """The type in the package URL: `pypi`, `deb`, `npm`, or `generic` for Node."""
    name: str
    version: str
    license: str = ""
    architecture: str = ""


def describe(settings: Settings, engine: Images) -> dict[str, Any]:
    """Return the metadata of the stack's image, from its labels and the engine."""
    image = building.built(settings, engine)
    labels = image.get("Config", {}).get("Labels") or {}

    def label(name: str) -> str:
        return str(labels.get(f"org.opencontainers.image.{name}", ""))

    return {
        "name": image_names.lab(settings),
        "id": image.get("Id", ""),
        "platform": f"{image.get('Os', '')}/{image.get('Architecture', '')}",
        "bytes": image.get("Size", 0),
        "created": image.get("Created", ""),
        "version": label("version"),
        "revision": label("revision"),
        "revised": label("created"),
        "source": label("source"),
        "licenses": label("licenses"),
        "base": label("base.name"),
        "base_digest": label("base.digest"),
        "base_source": labels.get("io.devai.base.source", ""),
        "registry": sorted(image.get("RepoDigests") or ()),
        "recorded_digest": settings.image_digest,
    }


def layers(settings: Settings, engine: Images) -> list[dict[str, Any]]:
    """Return the layers of an image, largest first: each step of its Dockerfile with its size in bytes."""
    building.built(settings, engine)
    rows = [
        {"bytes": int(layer["Size"]), "step": _step(layer["CreatedBy"])}
        for layer in engine.history(image_names.lab(settings))
    ]
    return sorted((row for row in rows if row["bytes"]), key=lambda row: -int(str(row["bytes"])))


def packages(settings: Settings, engine: Images) -> list[Package]:
    """Return the packages in an image, as listed inside it by the package managers of Debian, Python and Node."""
    building.built(settings, engine)
    name = image_names.lab(settings)
    installed = json.loads(engine.output(name, PYTHON, "-Im", "pip", "inspect", "--local") or '{"installed": []}')
    system = engine.output(name, "dpkg-query", "--show", f"--showformat={_DPKG_FIELDS}")
    tools = list(_node(engine.output(name, *_NPM)))
    if tools:
        tools.append(Package("generic", "node", engine.output(name, "node", "--version").strip().removeprefix("v")))
    unique = {*_python(installed), *_debian(system), *tools}  # tools may share a package
    return sorted(unique, key=lambda package: (package.kind, package.name.lower(), package.version))


def sbom(settings: Settings, engine: Images) -> str:
    """Return the SBOM of an image as CycloneDX 1.6 JSON, reproducible for an image; empty under --dry.

    Raises:
        MissingToolError: cyclonedx-python-lib is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as error:
        raise MissingToolError(
            "cyclonedx-python-lib is not installed", hint="`pip install devai-tasks[tools]` installs it"
        ) from error
    from datetime import datetime
    from uuid import NAMESPACE_URL, uuid5

    about = describe(settings, engine)
    system = engine.output(about["name"], "cat", "/etc/os-release")
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', system, flags=re.MULTILINE))
    installed = packages(settings, engine)
    if engine.dry:
        return ""
    name = image_names.registry_repository(settings).removeprefix("/")  # without a registry
    subject = Component(name=name, version=about["version"], type=ComponentType.CONTAINER, bom_ref=about["id"])
    parts = [_component(package, release) for package in installed]
    bom = Bom(
        metadata=BomMetaData(component=subject), components=parts, serial_number=uuid5(NAMESPACE_URL, about["id"])
    )
    bom.metadata.timestamp = datetime.fromisoformat(about["created"])
    bom.register_dependency(subject, parts)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(package: Package, release: Mapping[str, str]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    namespace, _, name = package.name.rpartition("/")  # of npm's
    qualifiers = {}
    if package.kind == "deb":
        namespace = release.get("ID", "debian")
        qualifiers = {"arch": package.architecture, "distro": release.get("VERSION_CODENAME", "")}
    url = PackageURL(package.kind, namespace, name, package.version, qualifiers)
    licenses = [LicenseFactory().make_from_string(package.license)] if package.license else []
    return Component(
        name=package.name, version=package.version, type=ComponentType.LIBRARY,
        purl=url, bom_ref=url.to_string(), licenses=licenses,
    )  # fmt: skip


def _python(inspected: Mapping[str, Any]) -> Iterator[Package]:
    """Yield the packages in pip's report (https://pip.pypa.io/en/stable/reference/inspect-report/)."""
    for entry in inspected["installed"]:
        about = entry["metadata"]
        # Older packages may have the whole license text in `license`.
        terms = about.get("license_expression") or (about.get("license") or "").strip()
        yield Package("pypi", about["name"], about["version"], terms if "\n" not in terms else "")


def _node(lockfiles: str) -> Iterator[Package]:
    """Yield the packages in npm's hidden lockfiles (https://docs.npmjs.com/cli/configuring-npm/package-lock-json)."""
    while lockfiles := lockfiles.lstrip():
        lock, end = json.JSONDecoder().raw_decode(lockfiles)
        for path, about in lock["packages"].items():
            name = about.get("name") or path.rpartition("node_modules/")[2]  # only aliases have a `name`
            yield Package("npm", name, about["version"], about.get("license", ""))
        lockfiles = lockfiles[end:]


def _debian(listed: str) -> Iterator[Package]:
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        yield Package("deb", name, version, architecture=architecture)


def _step(created_by: str) -> str:
    """Return a layer's build step in one line, as in the Dockerfile."""
    text = re.sub(r"^(RUN |/bin/sh -\S+ )?(\|\d+ .*?)?(/bin/sh -eu -c )?(#\(nop\) )?|# buildkit$", "", created_by)
    return " ".join(text.split()) or "the base image"

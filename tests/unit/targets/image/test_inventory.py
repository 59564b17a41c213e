"""Inventory of an image and its SBOM, from the output of package managers; tests/registry has a real image."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine.images import Images
from devai_tasks.targets.image import inventory

PIP = {"installed": [{"metadata": {"name": "jupyterlab", "version": "4.5.0", "license_expression": "BSD-3-Clause"}}]}
LOCKS: list[Mapping[str, object]] = [
    {
        "node_modules/@openai/codex": {"version": "0.169.0", "license": "Apache-2.0"},
        "node_modules/@openai/codex-linux-x64": {"name": "@openai/codex", "version": "0.169.0-linux-x64"},
        "node_modules/ws": {"version": "8.19.0", "license": "MIT"},
    },
    {"node_modules/a/node_modules/ws": {"version": "7.5.10", "license": "MIT"}},
    {"node_modules/ws": {"version": "8.19.0", "license": "MIT"}},  # from another tool
]


class Engine(Images):
    """Fake of an engine with an image whose programs print prepared output."""

    def __init__(self, locks: list[Mapping[str, object]]) -> None:
        super().__init__()
        self.printed = {
            "cat": 'ID=debian\nVERSION_CODENAME="trixie"\n',
            "dpkg-query": "tini\t0.19.0-3\tamd64\n",
            "find": "\n".join(json.dumps({"lockfileVersion": 3, "packages": packages}, indent=2) for packages in locks),
            "node": "v24.19.0\n",
            inventory.PYTHON: json.dumps(PIP),
        }

    def inspect(self, name: str) -> dict[str, object]:
        """Describe the image."""
        return {"Id": f"sha256:{name}", "Created": "1980-01-01T00:00:00Z", "Config": {"Labels": {}}}

    def output(self, name: str, *command: str) -> str:
        """Return the prepared output."""
        del name
        return self.printed[command[0]]


@pytest.fixture(scope="module")
def settings(shipped: Project) -> Settings:
    return load(shipped, Stack("dev", "local"), environ={})


def test_inventory_has_the_tools_of_an_image_and_their_node(settings: Settings) -> None:
    packages = {
        (package.kind, package.name, package.version) for package in inventory.packages(settings, Engine(LOCKS))
    }
    assert packages == {
        ("deb", "tini", "0.19.0-3"),
        ("generic", "node", "24.19.0"),
        ("npm", "@openai/codex", "0.169.0"),
        ("npm", "@openai/codex", "0.169.0-linux-x64"),
        ("npm", "ws", "7.5.10"),
        ("npm", "ws", "8.19.0"),
        ("pypi", "jupyterlab", "4.5.0"),
    }


def test_image_without_tools_has_no_node(settings: Settings) -> None:
    assert {package.kind for package in inventory.packages(settings, Engine([]))} == {"deb", "pypi"}


def test_sbom_has_the_name_of_the_image_and_each_package_once(settings: Settings) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = inventory.sbom(settings, Engine(LOCKS))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    sbom = json.loads(text)
    assert sbom["metadata"]["component"]["name"] == "devai-lab"
    urls = [part["purl"] for part in sbom["components"]]
    assert len(urls) == len(set(urls)) == 7
    assert {"pkg:npm/%40openai/codex@0.169.0", "pkg:generic/node@24.19.0"} < set(urls)

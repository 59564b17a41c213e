"""The picture in docs/architecture.md is that of the code: packages, arrows, and no exceptions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
# All packages print, fail and start programs by it.
SHARED = {"system"}


def package(module: str) -> str:
    """The part of devai_tasks that a module is in."""
    return module.split(".")[1] if "." in module else ""


def imports() -> set[tuple[str, str]]:
    """Which package imports which."""
    graph = grimp.build_graph("devai_tasks", cache_dir=None)
    pairs = {
        (package(importer), package(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {(one, other) for one, other in pairs if one and other and one != other}


def test_the_picture_has_every_import_between_packages_and_no_other() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", DOCUMENT, flags=re.MULTILINE))
    assert drawn == {(one, other) for one, other in imports() if other not in SHARED}


def test_what_everybody_may_use_uses_nobody() -> None:
    assert not [pair for pair in imports() if pair[0] in SHARED and pair[1] not in SHARED]


def test_the_contracts_list_no_exception_and_know_every_package() -> None:
    assert not [contract["name"] for contract in CONTRACTS if "ignore_imports" in contract]
    layers = " ".join(layer for contract in CONTRACTS for layer in contract.get("layers", ()))
    listed = {package(name) for name in re.findall(r"devai_tasks[\w.]+", layers)}
    assert listed - SHARED == {name for pair in imports() for name in pair} - SHARED


def test_every_package_is_described() -> None:
    packages = {path.stem for path in (ROOT / "devai_tasks").iterdir() if path.suffix == ".py" or path.is_dir()}
    described = set(re.findall(r"`(\w+)(?:/|\.py)`", DOCUMENT.partition("## The one-way rule")[0]))
    assert packages - {"__init__", "__pycache__", "templates"} <= described


def test_a_configuration_is_loaded_without_the_clients_of_servers() -> None:
    """Every task of a stack loads one, and a client takes as long to import as all else."""
    code = "import sys, devai_tasks.stack.loading, devai_tasks.stack.configuration_report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "devai_tasks.clouds.azure" in loaded
    assert {"httpx", "python_on_whales", "sh"} & {*loaded} == set()

"""Packages, diagram and import rules of docs/architecture.md, compared with the code."""

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
# Packages that every package may import, to print, raise errors and run programs.
SHARED = {"system"}


def package(module: str) -> str:
    """Return the package of devai_tasks that contains a module; empty for devai_tasks itself."""
    return module.split(".")[1] if "." in module else ""


def imports() -> set[tuple[str, str]]:
    """Return the imports between packages, as pairs of importer and imported package."""
    graph = grimp.build_graph("devai_tasks", cache_dir=None)
    pairs = {
        (package(importer), package(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {(importer, imported) for importer, imported in pairs if importer and imported and importer != imported}


def test_diagram_matches_the_imports_between_packages() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", DOCUMENT, flags=re.MULTILINE))
    assert drawn == {(importer, imported) for importer, imported in imports() if imported not in SHARED}


def test_shared_package_imports_no_other_package() -> None:
    assert not [pair for pair in imports() if pair[0] in SHARED and pair[1] not in SHARED]


def test_contracts_have_no_exceptions_and_list_every_package() -> None:
    assert not [contract["name"] for contract in CONTRACTS if "ignore_imports" in contract]
    layers = " ".join(layer for contract in CONTRACTS for layer in contract.get("layers", ()))
    listed = {package(name) for name in re.findall(r"devai_tasks[\w.]+", layers)}
    assert listed - SHARED == {name for pair in imports() for name in pair} - SHARED


def test_every_package_is_described() -> None:
    packages = {path.stem for path in (ROOT / "devai_tasks").iterdir() if path.suffix == ".py" or path.is_dir()}
    described = set(re.findall(r"`(\w+)(?:/|\.py)`", DOCUMENT.partition("## Session, steps and workloads")[0]))
    assert packages - {"__init__", "__pycache__", "templates"} <= described


def test_loading_of_a_configuration_imports_no_clients_of_servers() -> None:
    """Every task of a stack loads a configuration, and the import of a client takes as long as all other imports."""
    code = "import sys, devai_tasks.stack.loading, devai_tasks.stack.configuration_report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "devai_tasks.clouds.azure" in loaded
    assert {"httpx", "python_on_whales", "sh"} & {*loaded} == set()

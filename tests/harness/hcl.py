"""What Terraform's modules declare, read from their files; `python -m harness.hcl` writes it into their READMEs.

It writes the roots' examples of variables, too: what is rendered for the environment dev of the shipped configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from ipaddress import IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hcl2

from devai_tasks.config.stack import Stack
from devai_tasks.render import terraform
from harness.project import fresh
from harness.settings import load

ROOT = Path(__file__).parents[2] / "deploy/terraform"
CLOUDS = ("aws", "azure", "gcp")
BEGIN, END = "<!-- begin: made by `python -m harness.hcl` -->", "<!-- end -->"


def plain(value: Any) -> Any:
    """A value without the marks of the parser: quotes of strings, `${}` of expressions."""
    if not isinstance(value, str):
        return value
    return re.sub(r"^\$\{(.*)\}$", r"\1", value, flags=re.DOTALL).strip('"')


@dataclass(frozen=True)
class Resource:
    """A resource as a file writes it."""

    type: str
    name: str
    arguments: dict[str, Any]

    @property
    def address(self) -> str:
        """As Terraform names it inside its module."""
        return f"{self.type}.{self.name}"


@cache
def _parsed(folder: Path) -> list[dict[str, Any]]:
    return [hcl2.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.tf"))]


@dataclass(frozen=True)
class Module:
    """A folder of Terraform files: a module, or a root."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder.relative_to(ROOT))

    @property
    def _content(self) -> list[dict[str, Any]]:
        return _parsed(self.folder)

    def _blocks(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for content in self._content:
            for block in content.get(kind, []):
                for name, body in block.items():
                    if not name.startswith("__"):
                        yield plain(name), body

    @cached_property
    def variables(self) -> dict[str, dict[str, Any]]:
        """Each variable with what is said of it."""
        return dict(self._blocks("variable"))

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Each output with what is said of it."""
        return dict(self._blocks("output"))

    @cached_property
    def resources(self) -> list[Resource]:
        """Its own resources."""
        return [
            Resource(kind, plain(name), body)
            for kind, named in self._blocks("resource")
            for name, body in named.items()
            if not name.startswith("__")
        ]

    @cached_property
    def providers(self) -> list[dict[str, Any]]:
        """Its configurations of providers."""
        return [body for _, body in self._blocks("provider")]

    @cached_property
    def terraform(self) -> list[dict[str, Any]]:
        """Its `terraform` blocks."""
        return [block for content in self._content for block in content.get("terraform", [])]

    @cached_property
    def body(self) -> str:
        """Everything but the declarations of its variables."""
        return "\n".join(
            file.read_text(encoding="utf-8") for file in sorted(self.folder.glob("*.tf")) if file.name != "variables.tf"
        )

    @property
    def tables(self) -> str:
        """Its variables and outputs, as its README shows them."""
        rows = ["| variable | type | meaning |", "| --- | --- | --- |"]
        for name, said in self.variables.items():
            optional = "" if "default" not in said else " Optional."
            rows.append(f"| `{name}` | {_kind(said['type'])} | {plain(said['description'])}{optional} |")
        rows += ["", "| output | meaning |", "| --- | --- |"]
        rows += [f"| `{name}` | {plain(said['description'])} |" for name, said in self.outputs.items()]
        return "\n".join(rows)

    @property
    def readme(self) -> Path:
        """Where the tables stand."""
        return self.folder / "README.md"


def _kind(declared: str) -> str:
    kind = str(plain(declared))
    return kind.partition("(")[0] if "object" in kind else kind


def capabilities() -> list[str]:
    """What there is a module for in each cloud."""
    return sorted(folder.name for folder in (ROOT / "modules").iterdir() if (folder / "aws").is_dir())


def load_balancers(cloud: str) -> list[IPv4Network]:
    """From where the load balancer of a cloud reaches the lab, as its networking module says it."""
    module = Module(ROOT / "modules/networking" / cloud)
    if own := re.search(r"cidrsubnet\(var\.cidr, 8, (\d+)( \+ index)?\)", module.body):
        network = IPv4Network(plain(module.variables["cidr"]["default"]))
        subnets, first = list(network.subnets(8)), int(own[1])
        return subnets[first : first + (3 if own[2] else 1)]  # one in each zone, of which there are three at most
    (named,) = re.findall(r"balancers = (\[.+\])", module.body)
    return [IPv4Network(each) for each in json.loads(named)]


def modules() -> list[Module]:
    """All modules, without the roots."""
    return [Module(file.parent) for file in sorted((ROOT / "modules").rglob("main.tf"))]


def roots() -> list[Module]:
    """The roots."""
    return [Module(ROOT / cloud) for cloud in CLOUDS]


def example(cloud: str) -> str:
    """The variables of a root with the values of `<cloud>-dev`, as a person would write them."""
    with TemporaryDirectory() as folder:  # a project without anybody's own settings
        values = terraform.variables(load(fresh(Path(folder, "lab")), Stack("dev", cloud), environ={}))
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    return f"# What `inv config.render --cloud={cloud}` makes of the shipped configuration.\n{''.join(lines)}"


def example_file(cloud: str) -> Path:
    """Where the example stands."""
    return ROOT / cloud / "terraform.tfvars.example"


def write() -> None:
    """Put the tables into the READMEs, between their marks, and write the examples."""
    for cloud in CLOUDS:
        example_file(cloud).write_text(example(cloud), encoding="utf-8")
    for module in [*modules(), *roots()]:
        text = module.readme.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        module.readme.write_text(f"{before}{BEGIN}\n\n{module.tables}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()

"""The declarations of Terraform modules, parsed from their files; `python -m harness.hcl` writes the modules' READMEs.

The READMEs have the layout of terraform-docs (`markdown table`, without anchors and HTML). The same command writes an
example of variables for each root: the values that are rendered for the environment dev of the shipped configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from ipaddress import IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hcl2

from devai_tasks.config.stack import Stack
from devai_tasks.targets.terraform import rendering as terraform
from harness.project import fresh
from harness.settings import load

ROOT = Path(__file__).parents[2] / "deploy/terraform"
CLOUDS = ("aws", "azure", "gcp")
BEGIN, END = "<!-- BEGIN_TF_DOCS: written by `python -m harness.hcl` -->", "<!-- END_TF_DOCS -->"
REGISTRY = "https://registry.terraform.io/providers/hashicorp"
# The documentation of the provider that is built into Terraform is part of the language's documentation.
BUILT_IN = {"terraform_data": "https://developer.hashicorp.com/terraform/language/resources/terraform-data"}


def plain(value: Any) -> Any:
    """Return a value without the parser's quotes around strings and `${}` around expressions."""
    if not isinstance(value, str):
        return value
    return re.sub(r"^\$\{(.*)\}$", r"\1", value, flags=re.DOTALL).strip('"')


@dataclass(frozen=True)
class Resource:
    """A declared resource or data source."""

    type: str
    name: str
    arguments: dict[str, Any]
    data: bool = False

    @property
    def address(self) -> str:
        """The resource's address in its module."""
        return f"{'data.' if self.data else ''}{self.type}.{self.name}"

    @property
    def provider(self) -> str:
        """The local name of the resource's provider."""
        return self.type.partition("_")[0]

    @property
    def documentation(self) -> str:
        """The URL of the resource's page in the provider's documentation."""
        kind, short = ("data-sources" if self.data else "resources"), self.type.partition("_")[2]
        return BUILT_IN.get(self.type, f"{REGISTRY}/{self.provider}/latest/docs/{kind}/{short}")


@cache
def _parsed(folder: Path) -> list[dict[str, Any]]:
    return [hcl2.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.tf"))]


@dataclass(frozen=True)
class Module:
    """A folder of Terraform files: a module or a root."""

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
        """The arguments of each variable."""
        return dict(self._blocks("variable"))

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """The arguments of each output."""
        return dict(self._blocks("output"))

    @property
    def interface(self) -> list[str]:
        """The names of the module's variables and outputs."""
        return [*self.variables, *self.outputs]

    @cached_property
    def resources(self) -> list[Resource]:
        """The resources that the module itself declares."""
        return self._declared("resource")

    @cached_property
    def data_sources(self) -> list[Resource]:
        """The data sources that the module itself declares."""
        return self._declared("data")

    def _declared(self, block: str) -> list[Resource]:
        return [
            Resource(kind, plain(name), body, data=block == "data")
            for kind, named in self._blocks(block)
            for name, body in named.items()
            if not name.startswith("__")
        ]

    @cached_property
    def calls(self) -> dict[str, dict[str, Any]]:
        """The arguments of each module call."""
        return dict(self._blocks("module"))

    @cached_property
    def providers(self) -> list[dict[str, Any]]:
        """The module's provider configurations."""
        return [body for _, body in self._blocks("provider")]

    @cached_property
    def terraform(self) -> list[dict[str, Any]]:
        """The module's `terraform` blocks."""
        return [block for content in self._content for block in content.get("terraform", [])]

    @cached_property
    def body(self) -> str:
        """The text of all files except variables.tf."""
        return "\n".join(
            file.read_text(encoding="utf-8") for file in sorted(self.folder.glob("*.tf")) if file.name != "variables.tf"
        )

    @cached_property
    def requirements(self) -> dict[str, str]:
        """The version constraints for Terraform and then for each provider."""
        versions: dict[str, str] = {}
        for block in self.terraform:
            if "required_version" in block:
                versions["terraform"] = plain(block["required_version"])
            for providers in block.get("required_providers", []):
                versions |= {
                    name: plain(provider["version"]) for name, provider in providers.items() if name[:2] != "__"
                }
        return versions

    @property
    def tables(self) -> str:
        """The generated part of the README: the sections of terraform-docs."""
        declared = [*self.resources, *self.data_sources]
        versions = {**self.requirements, "terraform": "n/a"}  # the built-in provider has Terraform's version
        sections = {
            "Requirements": _table(("Name", "Version"), self.requirements.items()),
            "Providers": _table(
                ("Name", "Version"), [(name, versions[name]) for name in sorted({each.provider for each in declared})]
            ),
            "Modules": _table(
                ("Name", "Source", "Version"),
                [(name, plain(call["source"]), "n/a") for name, call in sorted(self.calls.items())],
            ),
            "Resources": _table(
                ("Name", "Type"),
                sorted(
                    (f"[{each.type}.{each.name}]({each.documentation})", "data source" if each.data else "resource")
                    for each in declared
                ),
            ),
            "Inputs": _table(
                ("Name", "Description", "Type", "Default", "Required"),
                [
                    (name, _text(block), _type(block), _default(block), "no" if "default" in block else "yes")
                    for name, block in sorted(self.variables.items())
                ],
            ),
            "Outputs": _table(
                ("Name", "Description"), [(name, _text(block)) for name, block in sorted(self.outputs.items())]
            ),
        }
        return "\n\n".join(f"## {title}\n\n{table or f'No {title.lower()}.'}" for title, table in sections.items())

    @property
    def readme(self) -> Path:
        """The file that contains the tables."""
        return self.folder / "README.md"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table, or an empty string if there are no rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = ["-" * len(cell) if cell != "Required" else ":------:" for cell in head]
    return "\n".join([f"| {' | '.join(head)} |", f"| {' | '.join(rule)} |", *lines]) if lines else ""


def _text(block: dict[str, Any]) -> str:
    return str(plain(block["description"])).replace('\\"', '"')


def _type(block: dict[str, Any]) -> str:
    return f"`{plain(block['type'])}`".replace("({", "({ ").replace("})", " })")


def _default(block: dict[str, Any]) -> str:
    return f"`{json.dumps(plain(block['default']))}`" if "default" in block else "n/a"


def capabilities() -> list[str]:
    """Return the names of the folders in `modules/` that have a module for each cloud."""
    return sorted(folder.name for folder in (ROOT / "modules").iterdir() if (folder / "aws").is_dir())


def load_balancers(cloud: str) -> list[IPv4Network]:
    """Return the source networks of a cloud's load balancer, as the networking module defines them."""
    module = Module(ROOT / "modules/networking" / cloud)
    if subnet := re.search(r"cidrsubnet\(var\.cidr, 8, (\d+)( \+ index)?\)", module.body):
        network = IPv4Network(plain(module.variables["cidr"]["default"]))
        subnets, first = list(network.subnets(8)), int(subnet[1])
        return subnets[first : first + (3 if subnet[2] else 1)]  # one in each of at most three zones
    (ranges,) = re.findall(r"balancers = (\[.+\])", module.body)
    return [IPv4Network(each) for each in json.loads(ranges)]


def modules() -> list[Module]:
    """Return all modules except the roots."""
    return [Module(file.parent) for file in sorted((ROOT / "modules").rglob("main.tf"))]


def roots() -> list[Module]:
    """Return the roots."""
    return [Module(ROOT / cloud) for cloud in CLOUDS]


def example(cloud: str) -> str:
    """Return the variables of a root with the values of `<cloud>-dev`, in the syntax of a variables file."""
    with TemporaryDirectory() as folder:  # a project without personal settings
        values = terraform.variables(load(fresh(Path(folder, "lab")), Stack("dev", cloud), environ={}))
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    return f"# What `inv config.render --cloud={cloud}` makes of the shipped configuration.\n{''.join(lines)}"


def example_file(cloud: str) -> Path:
    """Return the path of a root's example."""
    return ROOT / cloud / "terraform.tfvars.example"


def write() -> None:
    """Write the tables between the markers in the READMEs, and write the examples."""
    for cloud in CLOUDS:
        example_file(cloud).write_text(example(cloud), encoding="utf-8")
    for module in [*modules(), *roots()]:
        text = module.readme.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        module.readme.write_text(f"{before}{BEGIN}\n\n{module.tables}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()

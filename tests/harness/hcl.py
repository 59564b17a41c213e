"""What Terraform's modules declare, read from their files; `python -m harness.hcl` writes it into their READMEs.

The READMEs have the layout of terraform-docs (`markdown table`, without anchors and HTML). The same command writes each
root's example of variables: what is rendered for the environment dev of the shipped configuration.
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
# The provider that is built into Terraform is documented with the language.
BUILT_IN = {"terraform_data": "https://developer.hashicorp.com/terraform/language/resources/terraform-data"}


def plain(value: Any) -> Any:
    """Return a value without the parser's marks: quotes of strings, `${}` of expressions."""
    if not isinstance(value, str):
        return value
    return re.sub(r"^\$\{(.*)\}$", r"\1", value, flags=re.DOTALL).strip('"')


@dataclass(frozen=True)
class Resource:
    """A resource or a data source as a file declares it."""

    type: str
    name: str
    arguments: dict[str, Any]
    data: bool = False

    @property
    def address(self) -> str:
        """Its address inside its module."""
        return f"{'data.' if self.data else ''}{self.type}.{self.name}"

    @property
    def provider(self) -> str:
        """The local name of its provider."""
        return self.type.partition("_")[0]

    @property
    def documentation(self) -> str:
        """The address of its page in the provider's documentation."""
        kind, short = ("data-sources" if self.data else "resources"), self.type.partition("_")[2]
        return BUILT_IN.get(self.type, f"{REGISTRY}/{self.provider}/latest/docs/{kind}/{short}")


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
        """Each variable with its arguments."""
        return dict(self._blocks("variable"))

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Each output with its arguments."""
        return dict(self._blocks("output"))

    @property
    def interface(self) -> list[str]:
        """The names of its variables and outputs."""
        return [*self.variables, *self.outputs]

    @cached_property
    def resources(self) -> list[Resource]:
        """Its own resources."""
        return self._declared("resource")

    @cached_property
    def data_sources(self) -> list[Resource]:
        """Its own data sources."""
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
        """The modules that it calls, each with its arguments."""
        return dict(self._blocks("module"))

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

    @cached_property
    def requirements(self) -> dict[str, str]:
        """The versions that it requires: of Terraform, then of each provider."""
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
        """What its README shows: the sections of terraform-docs."""
        declared = [*self.resources, *self.data_sources]
        versions = {**self.requirements, "terraform": "n/a"}  # the built-in provider has Terraform's own
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
        """Where the tables stand."""
        return self.folder / "README.md"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown; an empty text without rows."""
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
    """Write the tables into the READMEs, between their marks, and the examples."""
    for cloud in CLOUDS:
        example_file(cloud).write_text(example(cloud), encoding="utf-8")
    for module in [*modules(), *roots()]:
        text = module.readme.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        module.readme.write_text(f"{before}{BEGIN}\n\n{module.tables}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()

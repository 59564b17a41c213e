"""Owner checks: a task that changes or enters a stack first checks the owner, and refuses, asks or marks the stack."""

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

REPORTS_OWNER = "reports the owner of the stack"
LOCAL_FILES = "uses only files of this folder"
READS_IMAGE = "reads an image, which contains neither secrets nor a home"
SHARED_IMAGE = "pulls images that are the same for all projects"
STATE = "compares the owner in Terraform's state: tests/contract/terraform"
# Tasks that don't check the owner by folder or namespace, with the reason. All other tasks check the owner first.
UNCHECKED = {
    "plan": REPORTS_OWNER, "status": REPORTS_OWNER, "doctor": REPORTS_OWNER,
    **dict.fromkeys(("new", "trust", "compose.config", "k8s.build", "image.lock"), LOCAL_FILES),
    **{f"config.{name}": LOCAL_FILES for name in ("check", "diff", "explain", "init", "render", "schema")},
    **{f"config.{name}": LOCAL_FILES for name in ("migrate", "set", "show")},
    **{f"image.{name}": READS_IMAGE for name in ("inspect", "sbom", "scan", "size")},
    "compose.pull": SHARED_IMAGE, "image.base": SHARED_IMAGE,
    "tf.fmt": LOCAL_FILES, "tf.record": LOCAL_FILES, "tf.validate": LOCAL_FILES,
    **{f"tf.{name}": STATE for name in ("apply", "bootstrap", "destroy", "import", "init", "output", "plan")},
    **{f"tf.{name}": STATE for name in ("state-list", "unlock")},
}  # fmt: skip
CHECKED = sorted({*namespace.task_names} - {*UNCHECKED})
CHANGING = {name for name in CHECKED if "take_over" in namespace[name].body.help_of_flags}
# Required flags of tasks.
FLAGS = {
    "data.restore": ["--file=conf/common/project.yaml"],
    "models.import": ["--file=conf/common/project.yaml"],
    "models.remove": ["--name=a"],
}
# Tasks of Compose, images and models check no cluster: images belong to the machine that builds them.
ON_A_CLUSTER = [name for name in CHECKED if not name.startswith(("compose.", "image.", "models."))]
CLUSTER = "{compute: {provider: none}, kubernetes: {context: mine}, image: {registry: r.test/x, digest: 'sha256:%s'}}"


@dataclass
class Engine:
    """A fake for the labels of a container engine, by Docker's documentation of labels."""

    creators: list[str] = field(default_factory=list)
    """Folders of the projects that created the containers; empty for a container without the label."""
    data: list[str] = field(default_factory=list)
    """Volumes of the stack."""
    labels: dict[str, str] = field(default_factory=dict)
    """Label of each marker volume."""

    def folders(self, _: str) -> list[str]:
        """Return the Compose folders of the containers."""
        return [f"{folder}/deploy/compose" if folder else "" for folder in self.creators]

    def volumes(self, _: str) -> list[str]:
        """Return the volumes of the stack."""
        return self.data

    def label(self, volume: str, _: str) -> str:
        """Return the label of a volume."""
        return self.labels.get(volume, "")

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        """Create a volume; an existing volume keeps its labels."""
        self.labels.setdefault(volume, *labels.values())

    def remove(self, volume: str) -> None:
        """Remove a volume."""
        self.labels.pop(volume, None)


@pytest.fixture
def engine(monkeypatch: Patch) -> Engine:
    """An engine without containers and volumes."""
    fake = Engine()
    monkeypatch.setattr(folder_ownership, "Marks", lambda: fake)
    monkeypatch.setattr(Docker, "check", lambda _: None)
    return fake


@pytest.fixture
def other_folder(tmp_path: Path) -> str:
    """The folder of another project."""
    (tmp_path / "elsewhere/deploy/compose").mkdir(parents=True)
    return str(tmp_path / "elsewhere")


def files(project: Project) -> dict[str, str]:
    """Return the content of all files of a project, except for history and locks."""
    paths = (
        path for path in project.root.rglob("*") if path.is_file() and path.parts[-1] not in ("history.jsonl", "lock")
    )
    return {str(path): path.read_text(encoding="utf-8", errors="replace") for path in paths}


def flags(name: str) -> list[str]:
    """Return the flags for a task."""
    return [*FLAGS.get(name, []), *(["--take-over"] if name in CHANGING else [])]


def test_all_unchecked_tasks_exist() -> None:
    assert {*UNCHECKED} <= {*namespace.task_names}


@pytest.mark.parametrize("name", [name for name in CHECKED if not name.startswith("k8s.")])
def test_every_checked_task_refuses_the_stack_of_another_folder(
    devai: Run, project: Project, engine: Engine, other_folder: str, name: str
) -> None:
    engine.labels["devai-local-dev_owner"], engine.data = other_folder, ["devai-local-dev_home"]
    before = files(project)
    result = devai(name, *flags(name))
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[0].startswith(
        f"the stack devai-local-dev on this machine belongs to the folder {other_folder}, and this is the folder "
        f"{project.root}; nothing was changed; work there; `inv config.set --set=project.name=NAME`"
    )
    assert files(project) == before
    assert engine.labels == {"devai-local-dev_owner": other_folder}


@pytest.mark.parametrize("name", ON_A_CLUSTER)
@pytest.mark.parametrize("identity", ["thisproject01", ""])
def test_every_checked_task_refuses_the_namespace_of_another_project(
    devai: Run, project: Project, monkeypatch: Patch, name: str, identity: str
) -> None:
    if identity:
        ownership.write(project, id=identity)
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    commands = fake_cluster(monkeypatch, {"devai.io/stack": "devai-mine-dev", "devai.io/project-id": "otherproject1"})
    before = files(project)
    result = devai(name, "--cloud=mine", *flags(name))
    assert result.returncode == 2, result.stderr
    this_project = (
        f"the project with the id {identity}" if identity else "a project without project.id (conf/common/project.yaml)"
    )
    assert (
        "the namespace devai-mine-dev in mine belongs to the project with the id otherproject1, and this is "
        f"{this_project}; nothing was changed; " in result.stderr
    )
    assert "`inv config.set --set=project.name=NAME`" in result.stderr
    assert commands == ["get namespace devai-mine-dev --output=json --ignore-not-found"]
    assert files(project) == before


def test_backup_refuses_the_local_cluster_namespace_of_another_project(
    devai: Run, engine: Engine, monkeypatch: Patch
) -> None:
    fake_cluster(
        monkeypatch, {"devai.io/stack": "devai-local-dev", "devai.io/project-id": "otherproject1"}, "kind-kind"
    )
    result = devai("data.backup", "--cluster", "--file=home.tar.gz")
    assert result.returncode == 2
    assert (
        "the namespace devai-local-dev in kind-kind belongs to the project with the id otherproject1" in result.stderr
    )
    assert engine.labels == {}


def fake_cluster(monkeypatch: Patch, labels: dict[str, str], context: str = "mine") -> list[str]:
    """Fake a cluster with a namespace, by Kubernetes' API of namespaces; return the list of its commands."""
    commands: list[str] = []

    def call(_: Kubectl, argv: list[str], stdin: str | None) -> Result:
        commands.append(" ".join(argv))
        if argv[0] == "apply":
            labels.update(json.loads(stdin or "")["metadata"]["labels"])
        namespace_object = {"kind": "Namespace", "metadata": {"name": "devai-mine-dev", "labels": labels}, "items": []}
        return Result(tuple(argv), 0, json.dumps(namespace_object).encode())

    monkeypatch.setattr(kubectl, "contexts", lambda: [context])
    monkeypatch.setattr(kubectl, "current_context", lambda: context)
    monkeypatch.setattr(Kubectl, "_call", call)
    return commands


def test_namespace_without_the_label_of_a_stack_is_never_taken_over(
    devai: Run, project: Project, monkeypatch: Patch
) -> None:
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    fake_cluster(monkeypatch, {})
    result = devai("k8s.delete", "--cloud=mine", "--take-over")
    assert result.returncode == 2
    assert "belongs to another owner: it is not marked as a stack" in result.stderr


def test_namespace_of_version_0_1_is_taken_over_after_one_question(
    devai: Run, project: Project, monkeypatch: Patch
) -> None:
    (project.conf / "clouds/mine.yaml").write_text(CLUSTER % ("a" * 64), encoding="utf-8")
    labels = {"devai.io/stack": "devai-mine-dev"}
    fake_cluster(monkeypatch, labels)
    monkeypatch.setattr(kubernetes, "delete", lambda *_, **__: None)
    refused = devai("k8s.delete", "--cloud=mine", "--yes")
    assert refused.returncode == 2
    assert "the namespace devai-mine-dev in mine has no recorded owner" in refused.stderr
    message = "no terminal to ask; nothing was changed; `--take-over` takes the stack over [DEVAI-STACK-006]"
    assert message in refused.stderr
    assert labels == {"devai.io/stack": "devai-mine-dev"}
    taken_over = devai("k8s.delete", "--cloud=mine", "--yes", "--take-over")
    assert taken_over.returncode == 0, taken_over.stderr
    assert "wrote project.id to conf/common/project.yaml; commit the file" in taken_over.stderr
    assert labels["devai.io/project-id"] in (project.root / ownership.FILE).read_text(encoding="utf-8")
    again = devai("k8s.delete", "--cloud=mine", "--yes")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("creators", "mark", "data", "claim"),
    [
        ("", "", "", "FREE"),
        ("", "elsewhere", "", "FREE"),  # the mark of a deleted stack
        ("here", "", "data", "OWN"),  # version 0.1, in this folder
        ("here", "here", "data", "OWN"),
        ("", "here", "data", "OWN"),
        ("gone", "here", "data", "OWN"),  # a folder that was moved
        ("", "", "data", "UNCLEAR"),  # version 0.1, after `down`
        ("gone", "", "data", "UNCLEAR"),
        ("", "gone", "data", "UNCLEAR"),
        ("here", "gone", "data", "UNCLEAR"),
        ("elsewhere", "here", "data", "UNCLEAR"),  # created without the check
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
def test_owner_is_found_by_containers_and_volumes(  # noqa: PLR0913, PLR0917 - the columns of a table
    project: Project, engine: Engine, other_folder: str, creators: str, mark: str, data: str, claim: str
) -> None:
    folders = {"here": str(project.root), "elsewhere": other_folder, "gone": "/gone", "unlabeled": "", "": ""}
    engine.creators, engine.data = [folders[name] for name in creators.split()], data.split()
    engine.labels["devai-local-dev_owner"] = folders[mark]
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim[claim]


def test_unreadable_folder_counts_as_existing(project: Project, engine: Engine, monkeypatch: Patch) -> None:
    """An example is a folder in another user's home. The error is simulated, because root can read every folder."""
    engine.creators = ["/home/other/lab"]
    real = Path.stat

    def stat(path: Path, **options: bool) -> object:
        if str(path).startswith("/home/other"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim.FOREIGN


def test_link_to_a_folder_is_the_same_folder(project: Project, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    engine.creators = [str(tmp_path / "link")]
    assert folder_ownership.of_folder(Project(tmp_path / "link"), settings(project)).claim is ownership.Claim.OWN
    assert folder_ownership.of_folder(project, settings(project)).claim is ownership.Claim.OWN


def test_stack_of_a_deleted_folder_is_taken_over_after_a_question(
    devai: Run, project: Project, engine: Engine, monkeypatch: Patch
) -> None:
    engine.labels["devai-local-dev_owner"], engine.data = "/gone", ["devai-local-dev_home"]
    for answer in ("n", "y"):
        stream = io.StringIO(f"{answer}\n")
        stream.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", stream)
        result = devai("models.remove")
        assert result.returncode == 2
        message = (
            "the stack devai-local-dev on this machine belongs to the folder /gone, which no longer exists, and this is"
        )
        assert message in result.stderr
        assert ("--name=MODEL" in result.stderr) == (answer == "y")
        assert engine.labels["devai-local-dev_owner"] == ("/gone" if answer == "n" else str(project.root))


def test_unmarked_stack_of_this_folder_is_marked_without_a_question(
    devai: Run, project: Project, engine: Engine, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(console, "ask", lambda _: pytest.fail("asked a question"))
    engine.creators, engine.data = [str(project.root)], ["devai-local-dev_home"]
    assert "--name=MODEL" in devai("models.remove").stderr
    assert engine.labels == {"devai-local-dev_owner": str(project.root)}


@pytest.mark.parametrize(
    ("creators", "mark", "refused"),
    [
        ("", "", False),
        ("/gone", "", False),
        ("", "/gone", False),
        ("elsewhere", "here", True),  # containers, and thus secrets, of another folder
    ],
)
def test_read_only_task_takes_over_no_stack_of_an_unclear_owner(  # noqa: PLR0913, PLR0917 - the columns of a table
    devai: Run,
    project: Project,
    engine: Engine,
    other_folder: str,
    monkeypatch: Patch,
    creators: str,
    mark: str,
    *,
    refused: bool,
) -> None:
    monkeypatch.setattr(console, "ask", lambda _: pytest.fail("asked a question"))
    monkeypatch.setattr(ComposeWorkload, "logs", lambda *_, **__: ["a line"])
    folders = {"here": str(project.root), "elsewhere": other_folder}
    engine.creators, engine.data = [folders.get(name, name) for name in creators.split()], ["devai-local-dev_home"]
    engine.labels["devai-local-dev_owner"] = folders.get(mark, mark)
    before = dict(engine.labels)
    result = devai("compose.logs")
    assert (result.returncode, result.stdout) == ((2, "") if refused else (0, "a line\n")), result.stderr
    assert ("by its containers, and this is" in result.stderr) == refused
    assert engine.labels == before


def test_mark_is_refused_after_another_folder_created_containers(
    project: Project, engine: Engine, other_folder: str
) -> None:
    engine.creators = [other_folder]
    with pytest.raises(UsageError, match=f"belongs to the folder {other_folder}, and this is"):
        folder_ownership.mark_folder(project, settings(project))
    assert engine.labels == {}


def test_second_mark_is_refused(project: Project, engine: Engine, monkeypatch: Patch) -> None:
    monkeypatch.setattr(engine, "remove", lambda *_: None)
    engine.labels["devai-local-dev_owner"] = "/first"
    with pytest.raises(DevaiError, match="is being started by /first at the moment; nothing was changed"):
        folder_ownership.mark_folder(project, settings(project))


def settings(project: Project) -> Settings:
    return Sources(project, {}).configuration(Stack("dev", "local")).settings

"""Several stacks with states in one store: each stack has a separate state, and changes no other state.

The store is simulated: Terraform's backend for local files stores each state at the path that the rendered settings of
the cloud's backend define, in a folder for each bucket.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from harness.project import fresh

from devai_tasks.clouds.aws import Aws
from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.offline import recording, serving
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.targets.terraform import records
from devai_tasks.workspace import ownership

Run = Callable[..., CompletedProcess[str]]

SMALL_ROOT = Path(__file__).with_name("small_root")
ACCOUNT, REGION = "210987654321", "eu-central-1"
STACK = ("--cloud=aws", "--set=terraform.state.store=shared")
RECORD = Path(__file__).with_name("record.tf")


@pytest.fixture(scope="module")
def providers() -> Iterator[str]:
    """Serve all provider schema snapshots; the value of TF_REATTACH_PROVIDERS."""
    with serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        yield addresses


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, providers: str) -> Path:
    """The folder of the states; provider schema snapshots replace the cloud, and every account is accepted."""
    folder, backend, tool = tmp_path / "store", Aws.backend, terraform._tool  # noqa: SLF001 - to wrap it

    def in_folder(cloud: Aws, settings: Settings) -> dict[str, Any]:
        values = backend(cloud, settings)
        return {"path": str(folder / values["bucket"] / values["key"])}

    def with_provider_snapshots(
        directory: Any, settings: Settings, environ: Mapping[str, str], *rest: Any, **flags: Any
    ) -> Any:
        return tool(directory, settings, {**environ, "TF_REATTACH_PROVIDERS": providers}, *rest, **flags)

    monkeypatch.setattr(Aws, "backend", in_folder)
    monkeypatch.setattr(terraform, "_tool", with_provider_snapshots)
    monkeypatch.setattr(Aws, "check_account", lambda *_, **__: None)
    return folder / "shared"


@pytest.fixture
def project_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """A function that creates a project if needed and changes to its folder."""

    def enter(name: str, *, folder: str = "", record: bool = True) -> Project:
        root = tmp_path / (folder or name)
        if not root.exists():
            project = fresh(root)
            ownership.write(project, name=name, id=ownership.new_id())
            shutil.rmtree(root / "deploy/terraform")
            shutil.copytree(SMALL_ROOT, root / "deploy/terraform")
            main = root / "deploy/terraform/aws/main.tf"
            main.write_text(main.read_text(encoding="utf-8").replace('backend "s3"', 'backend "local"'), "utf-8")
            if record:
                shutil.copy(RECORD, main.parent)
            values = {
                "terraform": {"account": ACCOUNT},
                "network": {"allowed_cidrs": ["198.18.0.0/15"]},
                "ingress": {"host": "lab.example.test"},
            }
            (project.conf / "stacks/aws-dev.yaml").write_text(json.dumps(values), encoding="utf-8")
        monkeypatch.chdir(root)
        return Project(root)

    return enter


def planned(devai: Run, *flags: str) -> dict[str, int]:
    result = devai("tf.plan", *STACK, "--json", *flags)
    assert result.returncode == 0, result.stderr
    counts: dict[str, int] = json.loads(result.stdout)["counts"]
    return counts


def applied(devai: Run, *flags: str) -> None:
    result = devai("tf.apply", *STACK, "--yes", *flags)
    assert result.returncode == 0, result.stderr


def test_two_projects_in_one_store_have_separate_states(
    store: Path, project_of: Callable[..., Project], devai: Run
) -> None:
    project_of("first")
    applied(devai)
    before = (store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate").read_bytes()

    project_of("second")
    assert set(planned(devai)) == {"created"}
    applied(devai)
    assert (store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate").read_bytes() == before
    project_of("first")
    assert planned(devai) == {}


def test_state_of_another_project_of_the_same_name_is_refused(
    store: Path, project_of: Callable[..., Project], devai: Run
) -> None:
    """Refuse every task, without a plan and without recording anything."""
    project_of("first")
    applied(devai)
    state = store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate"
    before = state.read_bytes()

    other_project = project_of("first", folder="elsewhere")
    for task in ("tf.plan", "tf.apply", "tf.destroy", "tf.output", "plan", "up", "down"):
        flags = () if task in ("tf.plan", "tf.output", "plan") else ("--yes", "--confirm=devai-aws-dev")
        refused = devai(task, *STACK, "--set=compute.platform=simple", *flags)
        assert refused.returncode == 2, refused.stderr
        assert "the state of aws-dev belongs to another project: first (project.id " in refused.stderr
        assert "another project.name" in refused.stderr
    assert state.read_bytes() == before
    assert not (other_project.root / ".devai/aws-dev/deployment.yaml").exists()


def test_clone_without_project_id_reports_recorded_id(
    store: Path, project_of: Callable[..., Project], devai: Run
) -> None:
    del store
    identity = project_of("first")
    applied(devai)
    clone = project_of("first", folder="clone")
    (clone.root / ownership.FILE).write_text("project:\n  name: first\n", encoding="utf-8")
    refused = devai("tf.apply", *STACK, "--yes")
    assert refused.returncode == 2
    text = (identity.root / ownership.FILE).read_text(encoding="utf-8")
    assert text.partition("id: ")[2].strip() in refused.stderr
    assert (clone.root / ownership.FILE).read_text(encoding="utf-8") == "project:\n  name: first\n"


def test_state_of_version_0_1_keeps_its_location(store: Path, project_of: Callable[..., Project], devai: Run) -> None:
    project = project_of("first", record=False)
    applied(devai)
    new, old = store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate", store / "aws-dev.tfstate"
    new.rename(old)
    shutil.rmtree(project.root / ".devai/aws-dev/terraform")
    (project.root / ".devai/aws-dev/deployment.yaml").unlink()
    assert planned(devai) == {}
    recorded = json.loads((project.root / ".devai/aws-dev/deployment.yaml").read_text(encoding="utf-8"))
    assert recorded["terraform"]["deployed"]["state"] == "aws-dev"
    assert "aws_vpc.this" in devai("tf.state-list", *STACK).stdout

    shutil.copy(RECORD, project.root / "deploy/terraform/aws")
    assert planned(devai) == {"created": 1}
    # Without a record, another project of the same name may be the owner.
    refused = devai("tf.apply", *STACK, "--yes")
    assert refused.returncode == 2
    assert "the state of aws-dev (aws-dev in shared) has no recorded owner" in refused.stderr
    applied(devai, "--take-over")
    assert old.exists()
    assert not new.exists()

    # The state is moved manually.
    old.rename(new)
    assert planned(devai) == {}


def test_state_of_another_project_of_version_0_1_is_left_alone(
    store: Path, project_of: Callable[..., Project], devai: Run
) -> None:
    project_of("first", record=False)
    applied(devai)
    old = store / "aws-dev.tfstate"
    (store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate").rename(old)
    before = old.read_bytes()
    project_of("second")
    assert set(planned(devai)) == {"created"}
    applied(devai)
    assert old.read_bytes() == before


def imported(devai: Run, *flags: str) -> None:
    result = devai("tf.import", *STACK, "--yes", "--address=aws_vpc.this", "--id=vpc-123", *flags)
    assert result.returncode == 0, result.stderr


def types(state: Path) -> list[str]:
    return sorted(entry["type"] for entry in records.managed(json.loads(state.read_text(encoding="utf-8"))))


def test_import_into_empty_state_records_owner(store: Path, project_of: Callable[..., Project], devai: Run) -> None:
    first = project_of("first")
    (first.root / ownership.FILE).write_text("project:\n  name: first\n", encoding="utf-8")
    imported(devai)
    state = store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate"
    assert types(state) == ["aws_vpc", "terraform_data"]
    assert "id: " in (first.root / ownership.FILE).read_text(encoding="utf-8")
    before = state.read_bytes()
    project_of("first", folder="elsewhere")
    for arguments in (("tf.plan",), ("tf.destroy", "--data", "--confirm=first-aws-dev", "--take-over")):
        refused = devai(*arguments, *STACK)
        assert refused.returncode == 2
        assert "the state of aws-dev belongs to another project: first (project.id " in refused.stderr
    assert state.read_bytes() == before
    project_of("first")
    applied(devai)


CHANGING = {
    "tf.apply": ["--yes"],
    "tf.destroy": ["--data", "--confirm=first-aws-dev"],
    "tf.import": ["--yes", "--address=aws_ecr_repository.this", "--id=first-dev"],
    "tf.unlock": ["--yes", "--lock-id=1"],
    "up": ["--yes"],
    "down": ["--data", "--confirm=first-aws-dev"],
    "stop": ["--yes"],
    "start": ["--yes"],
    "secrets.rotate": ["--yes"],
}


@pytest.mark.parametrize("identity", ["", "of the first project"], ids=["no record", "a record without an identity"])
def test_state_without_owner_changes_only_after_confirmation(
    store: Path, project_of: Callable[..., Project], devai: Run, identity: str
) -> None:
    """Ask also after a read-only task has recorded the deployment; do not ask again after `--take-over`."""
    first = project_of("first", record=bool(identity))
    imported(devai)
    state = store / f"first/{ACCOUNT}/{REGION}/aws/dev.tfstate"
    if identity:
        project_id = (first.root / ownership.FILE).read_text(encoding="utf-8").partition("id: ")[2].strip()
        state.write_text(state.read_text(encoding="utf-8").replace(f'"{project_id}"', '""'), encoding="utf-8")
    before = state.read_bytes()

    project_of("first", folder="elsewhere")
    question = (
        "the state of aws-dev (first/210987654321/eu-central-1/aws/dev in shared) has no recorded owner, and this is"
    )
    simple = (*STACK, "--set=compute.platform=simple")
    assert question in devai("tf.destroy", *simple, *CHANGING["tf.destroy"]).stderr
    for task in ("tf.plan", "tf.output", "status"):
        assert question in devai(task, *simple).stderr, task
    for task, flags in CHANGING.items():
        refused = devai(task, *simple, *flags)
        assert refused.returncode == 2, refused.stderr
        assert question in refused.stderr, task
        assert (
            "no terminal to ask; nothing was changed; `--take-over` takes the stack over [DEVAI-STACK-006]"
            in refused.stderr
        )
    assert state.read_bytes() == before

    unlocked = devai("tf.unlock", *STACK, "--yes", "--lock-id=1", "--take-over")
    assert "has no recorded owner" not in unlocked.stderr
    assert "terraform force-unlock failed" in unlocked.stderr
    assert devai("tf.destroy", *STACK, "--data", "--confirm=first-aws-dev").returncode == 0
    assert types(state) == []


MOVED = {
    "region": ("terraform.region", REGION, "us-east-1"),
    "account": ("terraform.account", ACCOUNT, "109876543210"),
    "name of the project": ("project.name", "first", "second"),
    "store": ("terraform.state.store", "shared", "other"),
}


@pytest.mark.parametrize("what", MOVED)
def test_deployed_stack_is_not_created_twice(
    store: Path, project_of: Callable[..., Project], devai: Run, what: str
) -> None:
    """Refuse every task that would use another location than the one recorded on this machine."""
    key, old, new = MOVED[what]
    project = project_of("first")
    applied(devai)
    states = {file: file.read_bytes() for file in store.parent.rglob("*.tfstate")}
    assert len(states) == 1

    for task in ("tf.plan", "tf.apply", "tf.destroy", "plan", "up", "down", "status"):
        refused = devai(task, *STACK, f"--set={key}={new}")
        assert refused.returncode == 2, refused.stderr
        assert f"{key} = {new}" in refused.stderr
        assert (
            f"aws-dev is deployed with {old} and would be created twice: restore that value, or first run"
            in refused.stderr
        )
        assert f"`inv down --env=dev --cloud=aws --set={key}={old}`" in refused.stderr
    assert {file: file.read_bytes() for file in store.parent.rglob("*.tfstate")} == states

    assert planned(devai, f"--set={key}={old}") == {}
    assert {file: file.read_bytes() for file in store.parent.rglob("*.tfstate")} == states
    # The stack cannot move while its home exists.
    assert devai("tf.destroy", *STACK, "--confirm=first-aws-dev").returncode == 0
    assert devai("tf.plan", *STACK, f"--set={key}={new}").returncode == 2
    assert devai("tf.destroy", *STACK, "--data", "--confirm=first-aws-dev").returncode == 0
    assert not (project.root / ".devai/aws-dev/deployment.yaml").exists()
    assert set(planned(devai, f"--set={key}={new}")) == {"created"}


def test_manually_moved_state_is_found_in_new_store(
    store: Path, project_of: Callable[..., Project], devai: Run
) -> None:
    """Follow the steps of docs/terraform.md."""
    project = project_of("first")
    applied(devai)
    store.rename(store.with_name("other"))
    (project.root / ".devai/aws-dev/deployment.yaml").unlink()
    assert planned(devai, "--set=terraform.state.store=other") == {}


def test_stack_of_version_0_1_is_not_created_twice_from_same_machine(
    store: Path, project_of: Callable[..., Project], devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 0.1 did not record region and account, but Terraform has recorded the location of the state."""
    project = project_of("first", record=False)
    with monkeypatch.context() as old:
        old.setattr(naming, "state", naming.first_state)
        applied(devai)
    file = project.root / ".devai/aws-dev/deployment.yaml"
    recorded = json.loads(file.read_text(encoding="utf-8"))
    del recorded["terraform"]["deployed"]
    file.write_text(json.dumps(recorded), encoding="utf-8")
    (project.root / ".devai/aws-dev/terraform/prepared").unlink()
    assert (store / "aws-dev.tfstate").exists()

    # In another region, the default store is another one too.
    refused = devai("tf.plan", STACK[0], "--set=terraform.state.store=other", "--set=terraform.region=us-east-1")
    assert refused.returncode == 2, refused.stderr
    assert (
        "this configuration would create it a second time, because its state would be at another location"
        in refused.stderr
    )
    assert "`inv down --env=dev --cloud=aws " in refused.stderr
    # If the store is the same, the state contains the region.
    refused = devai("tf.plan", *STACK, "--set=terraform.region=us-east-1")
    assert refused.returncode == 2, refused.stderr
    assert f"aws-dev is deployed with {REGION}" in refused.stderr
    assert planned(devai) == {}
    applied(devai)  # without confirmation, also after a read-only task

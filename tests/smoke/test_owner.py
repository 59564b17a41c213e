"""Two folders, one name: a stack of this machine belongs to the folder that made it, and no other changes it."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator

import pytest
from harness.cli import inv
from harness.project import fresh
from harness.stack import ComposeStack, docker

from devai_tasks.config import image_names, naming
from devai_tasks.targets.compose.ownership import FOLDER_LABEL

CONFIRM = "--confirm=devai-test-local-smoke"


@pytest.fixture(scope="module")
def second(stack: ComposeStack, tmp_path_factory: pytest.TempPathFactory) -> ComposeStack:
    """A second checkout, with the same name and settings, on the same engine."""
    project = fresh(tmp_path_factory.mktemp("second") / "lab")
    shutil.copyfile(stack.project.conf / "profiles/smoke.yaml", project.conf / "profiles/smoke.yaml")
    return ComposeStack(project, "smoke")


def parts(stack: ComposeStack) -> tuple[str, str, str]:
    """Containers, volumes and the lab's token."""
    own = f"--filter=label=com.docker.compose.project={naming.stack(stack.settings)}"
    return (
        docker("ps", "--all", "--quiet", "--no-trunc", own),
        docker("volume", "ls", "--quiet", own),
        stack.jupyter.url,
    )


@pytest.mark.parametrize(
    "words",
    [["up"], ["compose.up"], ["compose.restart"], ["stop"], ["down", "--data", CONFIRM], ["models.remove", "--name=a"]],
    ids=lambda words: words[0],
)
def test_a_second_folder_changes_nothing_of_the_first_ones_stack(
    stack: ComposeStack, second: ComposeStack, words: list[str]
) -> None:
    before = parts(stack)
    refused = second.inv(*words, "--take-over")
    assert refused.returncode == 2, refused.stderr
    assert (
        f"the stack devai-test-local-smoke on this machine belongs to the folder {stack.project.root}, and this is the "
        f"folder {second.project.root}; nothing was changed; " in refused.stderr
    )
    assert "`inv config.set --set=project.name=NAME`" in refused.stderr
    assert parts(stack) == before
    assert stack.jupyter.status("api/status") == 200
    assert not (second.project.state(second.settings.stack) / "token").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["compose.shell", "--command=touch work/entered"],
        ["compose.logs"],
        ["compose.ps"],
        ["logs"],
        ["open", "--print"],
        ["models.list"],
        ["models.export", "--file=models.tar"],
        ["data.backup", "--file=home.tar.gz"],
        ["image.build"],
        ["image.tag", "--set=image.registry=r.test"],
    ],
    ids=lambda words: words[0],
)
def test_a_second_folder_neither_enters_the_first_ones_stack_nor_replaces_its_image(
    stack: ComposeStack, second: ComposeStack, words: list[str]
) -> None:
    before = parts(stack), docker("image", "ls", "--quiet", "--no-trunc", image_names.lab(stack.settings))
    refused = second.inv(*words)
    assert refused.returncode == 2, refused.stderr
    assert refused.stdout == ""
    assert f"belongs to the folder {stack.project.root}, and this is the folder {second.project.root}" in refused.stderr
    assert (parts(stack), docker("image", "ls", "--quiet", "--no-trunc", image_names.lab(stack.settings))) == before
    assert not (stack.project.root / "work/entered").exists()
    assert not [*second.project.root.glob("*.tar*")]


def test_a_second_folder_removes_no_images_by_way_of_another_stack(stack: ComposeStack, second: ComposeStack) -> None:
    forgotten = without_a_name()
    name = f"--set=project.name={stack.settings.project.name}"
    refused = inv("image.prune", "--env=staging", name, "--yes", cwd=second.project.root)
    assert refused.returncode == 2, refused.stderr
    assert (
        f"the stack devai-test-local-smoke on this machine belongs to the folder {stack.project.root}" in refused.stderr
    )
    assert docker("image", "inspect", "--format={{.Id}}", forgotten).strip() == forgotten
    docker("image", "rm", forgotten)


def without_a_name() -> str:
    """An image as builds leave it behind; returns its id."""
    done = subprocess.run(
        ["docker", "import", f"--change=LABEL io.devai.project=devai-test {uuid.uuid4().hex}=1", "-"],
        input=bytes(1024),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def test_a_lab_does_not_run_what_another_folder_has_built_under_its_name(stack: ComposeStack) -> None:
    """As a second folder could while no stack of the name was there: it is of other files, and runs as root."""
    name = image_names.lab(stack.settings)
    own = docker("image", "inspect", "--format={{.Id}}", name).strip()
    foreign = without_a_name()
    try:
        docker("tag", foreign, name)
        done = stack.inv("compose.up")
        assert done.returncode == 0, done.stderr
        assert f"{name}: built from other inputs than the current ones, and not pushed or pulled here" in done.stderr
        running = docker("inspect", "--format={{.Image}}", stack.container("devai")).strip()
        assert running == docker("image", "inspect", "--format={{.Id}}", name).strip() != foreign
        assert stack.jupyter.status("api/status") == 200
    finally:
        if docker("image", "inspect", "--format={{.Id}}", name).strip() == foreign:
            docker("tag", own, name)
        docker("image", "rm", foreign)


def test_who_looks_is_told_whose_stack_it_is(stack: ComposeStack, second: ComposeStack) -> None:
    foreign = f"the folder {stack.project.root}, and this is the folder {second.project.root}"
    assert f"owner: {foreign}\n" in second.inv("status").stdout
    assert f"owner: the folder {stack.project.root}, this one\n" in stack.inv("status").stdout
    assert "`up` is refused: the stack devai-test-local-smoke" in second.inv("plan").stderr
    doctor = second.inv("doctor")
    assert doctor.returncode == 1
    assert foreign in doctor.stdout
    assert "used by this stack" not in doctor.stdout
    assert "used by this stack" in stack.inv("doctor").stdout


def test_volumes_belong_to_the_first_folder_after_its_down_too(stack: ComposeStack, second: ComposeStack) -> None:
    assert stack.inv("compose.down").returncode == 0
    before = parts(stack)
    assert before[:2] != ("", "")
    for words in (["compose.up"], ["down", "--data", CONFIRM]):
        refused = second.inv(*words)
        assert refused.returncode == 2
        assert f"belongs to the folder {stack.project.root}" in refused.stderr
    assert parts(stack) == before
    assert stack.inv("compose.up").returncode == 0


def test_a_stack_of_version_0_1_is_its_folders_without_a_question(stack: ComposeStack) -> None:
    """It marked no volumes; its containers name the folder."""
    docker("volume", "rm", "devai-test-local-smoke_owner")
    assert stack.inv("compose.up").returncode == 0
    assert mark("devai-test-local-smoke") == str(stack.project.root)


@pytest.fixture
def left_over(stack: ComposeStack) -> Iterator[Callable[[str], ComposeStack]]:
    """The volume of a stack that has been taken down, marked as a folder's, or as none's by version 0.1."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    (stack.project.conf / "profiles/left.yaml").write_text(f"project: {{name: {name}}}\n", encoding="utf-8")
    own = ComposeStack(stack.project, "left")

    def make(folder: str) -> ComposeStack:
        label = f"--label=com.docker.compose.project={name}-local-left"
        docker("volume", "create", label, "--label=com.docker.compose.volume=home", f"{name}-local-left_home")
        if folder:
            docker("volume", "create", f"--label={FOLDER_LABEL}={folder}", f"{name}-local-left_owner")
        return own

    yield make
    docker("volume", "rm", "--force", f"{name}-local-left_home", f"{name}-local-left_owner")
    (stack.project.conf / "profiles/left.yaml").unlink()


@pytest.mark.parametrize(
    ("folder", "told"),
    [("/gone/lab", "belongs to the folder /gone/lab, which no longer exists"), ("", "has no recorded owner")],
)
def test_what_is_left_over_is_taken_over_after_a_question_only(
    left_over: Callable[[str], ComposeStack], folder: str, told: str
) -> None:
    own = left_over(folder)
    name = naming.stack(own.settings)
    refused = own.inv("down", "--data", f"--confirm={name}")
    assert refused.returncode == 2
    assert told in refused.stderr
    assert "`--take-over` takes the stack over" in refused.stderr
    assert mark(name) == folder
    assert own.inv("compose.down", "--take-over").returncode == 0
    assert mark(name) == str(own.project.root)
    removed = own.inv("down", "--data", f"--confirm={name}")
    assert removed.returncode == 0, removed.stderr
    assert docker("volume", "ls", "--quiet", f"--filter=name={name}") == ""


def mark(name: str) -> str:
    """The folder that a stack is marked with."""
    shown = f'--format={{{{.Label "{FOLDER_LABEL}"}}}}'
    return docker("volume", "ls", f"--filter=name=^{name}_owner$", shown).strip()

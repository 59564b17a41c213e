"""Two folders with one project name: a stack on this machine belongs to the folder that created it."""

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
    """A second checkout with the same name and settings, and for the same engine."""
    project = fresh(tmp_path_factory.mktemp("second") / "lab")
    shutil.copyfile(stack.project.conf / "profiles/smoke.yaml", project.conf / "profiles/smoke.yaml")
    return ComposeStack(project, "smoke")


def parts(stack: ComposeStack) -> tuple[str, str, str]:
    """Return the IDs of a stack's containers, the names of its volumes, and the lab's URL with the token."""
    selected = f"--filter=label=com.docker.compose.project={naming.stack(stack.settings)}"
    return (
        docker("ps", "--all", "--quiet", "--no-trunc", selected),
        docker("volume", "ls", "--quiet", selected),
        stack.jupyter.url,
    )


@pytest.mark.parametrize(
    "arguments",
    [["up"], ["compose.up"], ["compose.restart"], ["stop"], ["down", "--data", CONFIRM], ["models.remove", "--name=a"]],
    ids=lambda arguments: arguments[0],
)
def test_second_folder_cannot_change_the_stack_of_the_first(
    stack: ComposeStack, second: ComposeStack, arguments: list[str]
) -> None:
    before = parts(stack)
    refused = second.inv(*arguments, "--take-over")
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
    "arguments",
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
    ids=lambda arguments: arguments[0],
)
def test_second_folder_can_neither_read_the_stack_nor_replace_its_image(
    stack: ComposeStack, second: ComposeStack, arguments: list[str]
) -> None:
    before = parts(stack), docker("image", "ls", "--quiet", "--no-trunc", image_names.lab(stack.settings))
    refused = second.inv(*arguments)
    assert refused.returncode == 2, refused.stderr
    assert refused.stdout == ""
    assert f"belongs to the folder {stack.project.root}, and this is the folder {second.project.root}" in refused.stderr
    assert (parts(stack), docker("image", "ls", "--quiet", "--no-trunc", image_names.lab(stack.settings))) == before
    assert not (stack.project.root / "work/entered").exists()
    assert not [*second.project.root.glob("*.tar*")]


def test_second_folder_cannot_prune_images_through_another_stack(stack: ComposeStack, second: ComposeStack) -> None:
    dangling = dangling_image()
    name = f"--set=project.name={stack.settings.project.name}"
    refused = inv("image.prune", "--env=staging", name, "--yes", cwd=second.project.root)
    assert refused.returncode == 2, refused.stderr
    assert (
        f"the stack devai-test-local-smoke on this machine belongs to the folder {stack.project.root}" in refused.stderr
    )
    assert docker("image", "inspect", "--format={{.Id}}", dangling).strip() == dangling
    docker("image", "rm", dangling)


def dangling_image() -> str:
    """Create an untagged image of the project, like the ones that builds leave behind; return its ID."""
    result = subprocess.run(
        ["docker", "import", f"--change=LABEL io.devai.project=devai-test {uuid.uuid4().hex}=1", "-"],
        input=bytes(1024),
        capture_output=True,
        check=True,
    )
    return result.stdout.decode().strip()


def test_lab_does_not_run_an_image_that_another_folder_built_with_its_name(stack: ComposeStack) -> None:
    """While no stack with the name exists, another folder may build the image: from other files, which run as root."""
    name = image_names.lab(stack.settings)
    original = docker("image", "inspect", "--format={{.Id}}", name).strip()
    foreign = dangling_image()
    try:
        docker("tag", foreign, name)
        up = stack.inv("compose.up")
        assert up.returncode == 0, up.stderr
        assert f"{name}: built from other inputs than the current ones, and not pushed or pulled here" in up.stderr
        running = docker("inspect", "--format={{.Image}}", stack.container("devai")).strip()
        assert running == docker("image", "inspect", "--format={{.Id}}", name).strip() != foreign
        assert stack.jupyter.status("api/status") == 200
    finally:
        if docker("image", "inspect", "--format={{.Id}}", name).strip() == foreign:
            docker("tag", original, name)
        docker("image", "rm", foreign)


def test_status_plan_and_doctor_report_the_owner(stack: ComposeStack, second: ComposeStack) -> None:
    foreign = f"the folder {stack.project.root}, and this is the folder {second.project.root}"
    assert f"owner: {foreign}\n" in second.inv("status").stdout
    assert f"owner: the folder {stack.project.root}, this one\n" in stack.inv("status").stdout
    assert "`up` is refused: the stack devai-test-local-smoke" in second.inv("plan").stderr
    doctor = second.inv("doctor")
    assert doctor.returncode == 1
    assert foreign in doctor.stdout
    assert "used by this stack" not in doctor.stdout
    assert "used by this stack" in stack.inv("doctor").stdout


def test_volumes_still_belong_to_the_first_folder_after_down(stack: ComposeStack, second: ComposeStack) -> None:
    assert stack.inv("compose.down").returncode == 0
    before = parts(stack)
    assert before[:2] != ("", "")
    for arguments in (["compose.up"], ["down", "--data", CONFIRM]):
        refused = second.inv(*arguments)
        assert refused.returncode == 2
        assert f"belongs to the folder {stack.project.root}" in refused.stderr
    assert parts(stack) == before
    assert stack.inv("compose.up").returncode == 0


def test_stack_of_version_0_1_belongs_to_the_folder_of_its_containers(stack: ComposeStack) -> None:
    """Version 0.1 created no volume that marks the owner, but the labels of its containers contain the folder."""
    docker("volume", "rm", "devai-test-local-smoke_owner")
    assert stack.inv("compose.up").returncode == 0
    assert mark("devai-test-local-smoke") == str(stack.project.root)


@pytest.fixture
def stopped_stack(stack: ComposeStack) -> Iterator[Callable[[str], ComposeStack]]:
    """A function that creates the volume of a stack without containers; with a folder, the stack has an owner mark."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    (stack.project.conf / "profiles/left.yaml").write_text(f"project: {{name: {name}}}\n", encoding="utf-8")
    stopped = ComposeStack(stack.project, "left")

    def make(folder: str) -> ComposeStack:
        label = f"--label=com.docker.compose.project={name}-local-left"
        docker("volume", "create", label, "--label=com.docker.compose.volume=home", f"{name}-local-left_home")
        if folder:
            docker("volume", "create", f"--label={FOLDER_LABEL}={folder}", f"{name}-local-left_owner")
        return stopped

    yield make
    docker("volume", "rm", "--force", f"{name}-local-left_home", f"{name}-local-left_owner")
    (stack.project.conf / "profiles/left.yaml").unlink()


@pytest.mark.parametrize(
    ("folder", "message"),
    [("/gone/lab", "belongs to the folder /gone/lab, which no longer exists"), ("", "has no recorded owner")],
)
def test_volume_without_an_existing_owner_is_taken_over_only_if_confirmed(
    stopped_stack: Callable[[str], ComposeStack], folder: str, message: str
) -> None:
    stack = stopped_stack(folder)
    name = naming.stack(stack.settings)
    refused = stack.inv("down", "--data", f"--confirm={name}")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "`--take-over` takes the stack over" in refused.stderr
    assert mark(name) == folder
    assert stack.inv("compose.down", "--take-over").returncode == 0
    assert mark(name) == str(stack.project.root)
    removed = stack.inv("down", "--data", f"--confirm={name}")
    assert removed.returncode == 0, removed.stderr
    assert docker("volume", "ls", "--quiet", f"--filter=name={name}") == ""


def mark(name: str) -> str:
    """Return the folder in the owner mark of a stack; empty without a mark."""
    label = f'--format={{{{.Label "{FOLDER_LABEL}"}}}}'
    return docker("volume", "ls", f"--filter=name=^{name}_owner$", label).strip()

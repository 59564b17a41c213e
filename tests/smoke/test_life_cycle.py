"""The life cycle of a Compose stack: what is kept, what is removed, and the messages of operations that fail."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.cli import inv
from harness.jupyter import Jupyter
from harness.prerequisites import skip_or_fail
from harness.stack import CANARY, UID, ComposeStack, assert_not_exposed, docker

REPOSITORY = Path(__file__).parents[2]
# A kernel writes control sequences to the lab's standard error.
CONTROL_SEQUENCES = r"""
import os
files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
log = next(file for file in files if os.path.lexists(file) and os.readlink(file) == os.readlink("/proc/1/fd/2"))
os.write(int(log.rpartition("/")[2]), b"be\x1b]0;owned\x07fore\x1b[2J and \x1b[31mafter\n")
"""
NOTEBOOK = {"type": "notebook", "content": {"cells": [], "metadata": {"kept": 1}, "nbformat": 4, "nbformat_minor": 5}}


def test_notebooks_and_models_survive_down_and_up(stack: ComposeStack) -> None:
    stack.jupyter.call("PUT", "api/contents/in-home.ipynb", NOTEBOOK)
    stack.jupyter.call("PUT", "api/contents/work/in-work.ipynb", NOTEBOOK)
    models = json.loads(stack.inv("models.list", "--json").stdout)

    assert stack.inv("compose.down").returncode == 0
    with pytest.raises(OSError, match="refused"):
        stack.jupyter.status("api")
    restarted = stack.inv("compose.up", environ={"OPENAI_API_KEY": CANARY})

    assert restarted.returncode == 0, restarted.stderr
    assert restarted.stdout.strip() == stack.jupyter.url  # the same token
    for path in ("api/contents/in-home.ipynb", "api/contents/work/in-work.ipynb"):
        assert stack.jupyter.call("GET", path)["content"]["metadata"]["kept"] == 1
    assert json.loads(stack.inv("models.list", "--json").stdout) == models
    assert [model["name"] for model in models] == ["smollm2:135m"]


def test_pulling_existing_models_changes_nothing(stack: ComposeStack) -> None:
    again = stack.inv("models.pull")
    assert again.returncode == 0
    assert again.stderr.splitlines() == ["model smollm2:135m: present"]


def test_files_of_the_lab_belong_to_the_user_on_the_host(stack: ComposeStack) -> None:
    stack.jupyter.execute("open('/home/devai/work/made-by-a-kernel', 'w').close()")
    file = stack.project.root / "work/made-by-a-kernel"
    assert (file.stat().st_uid, file.stat().st_gid) == (stack.settings.engine.uid, stack.settings.engine.gid)
    if os.geteuid() == 0:
        assert stack.settings.engine.uid == UID


def test_project_is_the_work_folder_only_if_allowed_and_replaced_after_a_notice(
    stack: ComposeStack,
) -> None:
    """A lab of version 0.1 mounts the project as ~/work; this version mounts a separate folder."""

    def mounted() -> str:
        mounts = json.loads(docker("inspect", stack.container("devai")))[0]["Mounts"]
        return next(str(mount["Source"]) for mount in mounts if mount["Destination"] == "/home/devai/work")

    root, separate = str(stack.project.root), str(stack.project.root / "work")
    refused = stack.inv("up", "--set=storage.work_dir=.")
    assert (refused.returncode, mounted()) == (2, separate), refused.stderr
    assert "the project itself" in refused.stderr
    allowed = ("--set=storage.work_dir=.", "--set=storage.allow_unsafe_work_dir=true")
    assert stack.inv("compose.up", *allowed).returncode == 0
    assert mounted() == root
    notified = stack.inv("up")
    assert (notified.returncode, mounted()) == (2, root), notified.stderr
    assert "`mkdir -p work && mv -n -- NOTEBOOKS work/`" in notified.stderr
    assert stack.inv("compose.up").returncode == 0
    assert mounted() == separate


def test_up_warns_about_files_in_the_work_folder_that_programs_would_run(stack: ComposeStack) -> None:
    stack.jupyter.execute("open('/home/devai/work/tasks.py', 'w').close()")
    try:
        started = stack.inv("compose.up")
        assert started.returncode == 0, started.stderr
        output = " ".join(started.stderr.split())
        assert f"notebooks can write tasks.py in {stack.project.root}/work, which inv would run or read there" in output
    finally:
        (stack.project.root / "work/tasks.py").unlink()


def test_secret_is_visible_only_in_kernels(stack: ComposeStack) -> None:
    assert stack.jupyter.execute("import os; print(os.environ['OPENAI_API_KEY'])").strip() == CANARY
    assert stack.jupyter.execute("import os; print(os.environ.get('GOOGLE_API_KEY'))").strip() == "None"
    assert_not_exposed(stack, CANARY)


def test_changed_secret_is_applied_to_a_running_lab(stack: ComposeStack) -> None:
    assert stack.inv("compose.up", environ={"OPENAI_API_KEY": f"{CANARY}-2"}).returncode == 0
    assert stack.jupyter.execute("import os; print(os.environ['OPENAI_API_KEY'])").strip() == f"{CANARY}-2"


def test_secret_without_a_value_in_this_shell_keeps_its_stored_value(stack: ComposeStack) -> None:
    show = "import os; print(os.environ.get('GOOGLE_API_KEY'))"
    assert stack.inv("compose.up", environ={"GOOGLE_API_KEY": "of-one-shell"}).returncode == 0
    again = stack.inv("compose.up")
    assert again.returncode == 0
    assert "GOOGLE_API_KEY: no value on this machine; the stored value is kept\n" in again.stderr
    assert stack.jupyter.execute(show).strip() == "of-one-shell"


def test_secrets_rotate_replaces_the_token_and_ends_its_sessions(stack: ComposeStack) -> None:
    leaked = stack.jupyter
    assert leaked.status("api/status") == 200
    refused = stack.inv("secrets.rotate")
    assert refused.returncode == 2
    assert "its token is replaced, and all sessions and kernels stop; continue? " not in refused.stdout
    assert leaked.status("api/status") == 200
    failed = stack.inv("secrets.rotate", "--yes", "--set=resources.lab.cpu=4096")
    assert failed.returncode == 1
    assert "a service may use 4096 cores" in failed.stderr
    assert stack.inv("start").stdout.strip() == leaked.url
    rotated = stack.inv("secrets.rotate", "--yes")
    assert rotated.returncode == 0, rotated.stderr
    assert leaked.status("api/status") == 403
    del stack.__dict__["jupyter"]  # the cached client has the old token
    assert rotated.stdout.strip() == stack.jupyter.url
    assert stack.jupyter.status("api/status") == 200
    assert_not_exposed(stack, stack.jupyter.token)


def test_two_stacks_run_side_by_side(stack: ComposeStack, free_port: Callable[[], int]) -> None:
    """The second stack uses the image of the first, and has no Ollama."""
    profiles = stack.project.conf / "profiles"
    text = (profiles / "smoke.yaml").read_text(encoding="utf-8")
    ports = f"ports: {{lab: {free_port()}, ollama: {free_port()}}}"
    lines = [ports if line.startswith("ports:") else line for line in text.splitlines()]
    (profiles / "second.yaml").write_text("\n".join([*lines, "ollama: {mode: host}"]), encoding="utf-8")
    second = ComposeStack(stack.project, "second")
    docker("tag", "devai-test-lab:local-smoke", "devai-test-lab:local-second")
    try:
        started = second.inv("compose.up")
        assert started.returncode == 0, started.stderr
        assert Jupyter(started.stdout.strip()).status("api/status") == 200
        assert [row["service"] for row in json.loads(second.inv("compose.ps", "--json").stdout)] == ["devai"]
    finally:
        assert second.inv("compose.down", "--data", "--confirm=devai-test-local-second").returncode == 0
        docker("rmi", "devai-test-lab:local-second")
    assert stack.jupyter.status("api/status") == 200


def test_ollama_container_is_removed_in_host_mode_and_recreated_with_its_models(stack: ComposeStack) -> None:
    assert stack.inv("compose.up", "--set=ollama.mode=host").returncode == 0
    assert [row["service"] for row in json.loads(stack.inv("compose.ps", "--json").stdout)] == ["devai"]
    assert stack.inv("compose.up").returncode == 0
    assert [model["name"] for model in json.loads(stack.inv("models.list", "--json").stdout)] == ["smollm2:135m"]


def test_plain_docker_compose_works_with_the_artifacts(stack: ComposeStack) -> None:
    listed = subprocess.run(
        ["docker", "compose", "--env-file", "generated/local-smoke/compose/.env", "ps", "--services"],
        cwd=stack.project.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(listed.stdout.split()) == ["devai", "ollama"]


def test_services_have_limited_processes_read_only_files_and_no_host_gateway(stack: ComposeStack) -> None:
    limits = stack.settings.resources
    for name, pids in {"devai": limits.lab.pids, "ollama": limits.ollama.pids}.items():
        output = stack.host(name).check_output("cat /sys/fs/cgroup/pids/pids.max 2>&1 || cat /sys/fs/cgroup/pids.max")
        assert int(output.splitlines()[-1]) == pids
    assert stack.host("ollama").run("touch /usr/bin/planted").rc != 0
    assert stack.host("devai").run("getent hosts host.docker.internal").rc != 0  # Ollama runs in a container


def test_shell_and_logs_work_without_a_terminal(stack: ComposeStack) -> None:
    identity = stack.inv("compose.shell", "--command=id -u")
    assert identity.stdout.strip() == str(stack.settings.engine.uid), identity.stderr
    assert stack.inv("compose.shell", "--command=bash -c 'exit 7'").returncode == 7
    assert stack.inv("compose.shell", "--command=which python").stdout.strip() == "/home/devai/.venv/bin/python"
    assert "Jupyter Server" in stack.inv("compose.logs", "--service=devai").stdout


def test_logs_are_printed_without_control_sequences(stack: ComposeStack) -> None:
    stack.jupyter.execute(CONTROL_SEQUENCES)
    for task in ("logs", "compose.logs"):
        printed = stack.inv(task, "--service=devai", "--tail=20").stdout
        assert "before and after" in printed
        assert "\x1b" not in printed


def test_used_port_is_reported_with_a_free_one_and_nothing_is_started(stack: ComposeStack) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = inv("compose.up", "--env=staging", f"--set=ports.lab={port}", cwd=stack.project.root)
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in refused.stderr
    assert "--set ports.lab=" in refused.stderr
    assert "local-staging" not in docker("ps", "--all", "--format", "{{.Names}}")


def test_pulling_an_unknown_model_prints_one_message(stack: ComposeStack) -> None:
    failed = stack.inv("models.pull", "--name=no-such-model-anywhere")
    assert failed.returncode == 1
    assert "no-such-model-anywhere" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_gguf_file_on_this_machine_can_be_pulled_as_a_model(stack: ComposeStack, gguf_file: Path) -> None:
    created = stack.inv("models.pull", f"--name={gguf_file}")
    assert created.returncode == 0, created.stderr
    listed = [model["name"] for model in json.loads(stack.inv("models.list", "--json").stdout)]
    assert f"{gguf_file.stem}:latest" in listed
    assert stack.inv("models.remove", f"--name={gguf_file.stem}", "--yes").returncode == 0


def test_exported_models_can_be_imported_and_changed_archives_are_refused(stack: ComposeStack, tmp_path: Path) -> None:
    file = tmp_path / "models.tar"
    exported = stack.inv("models.export", f"--file={file}")
    assert exported.returncode == 0, exported.stderr
    with tarfile.open(file) as archive:
        assert {name.partition("/")[0] for name in archive.getnames()} == {"blobs", "manifests"}  # without Ollama's key
    assert stack.inv("models.remove", "--name=smollm2:135m", "--yes").returncode == 0
    files = "find /models -type f -exec sha256sum {} + | sort"
    before = stack.host("ollama").check_output(files)
    for changed, reason in invalid_archives(file, tmp_path).items():
        refused = stack.inv("models.import", f"--file={changed}")
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert reason in refused.stderr
    assert stack.host("ollama").check_output(files) == before
    assert json.loads(stack.inv("models.list", "--json").stdout) == []

    imported = stack.inv("models.import", f"--file={file}")

    assert imported.returncode == 0, imported.stderr
    assert imported.stderr.splitlines()[-1] == "model smollm2:135m: imported"
    assert (
        stack.jupyter.execute(
            "import ollama; print(ollama.generate('smollm2:135m', 'Hi', options={'num_predict': 2}).done)"
        ).strip()
        == "True"
    )


@pytest.mark.parametrize(
    ("link", "arguments"),
    [
        ("models.tar.part", ["models.export", "--file=work/models.tar"]),
        ("models.tar", ["models.export", "--file=work/models.tar"]),
        ("sbom.json", ["image.sbom", "--output=work/sbom.json"]),
        ("home.tar.gz.sha256", ["data.backup", "--file=work/home.tar.gz"]),
    ],
)
def test_tasks_do_not_write_through_a_link_that_a_notebook_has_created(
    stack: ComposeStack, link: str, arguments: list[str]
) -> None:
    work, victim = stack.project.root / "work", stack.project.root / "tasks.py"
    before = victim.read_bytes()
    stack.host("devai").check_output(f"ln -s ../tasks.py work/{link}")
    try:
        assert stack.inv(*arguments).returncode in (0, 2)
        assert victim.read_bytes() == before
        assert (work / link).is_symlink()
    finally:
        for name in (link, arguments[1].rpartition("/")[2]):
            (work / name).unlink(missing_ok=True)


def test_ollama_without_a_published_port_serves_the_lab_and_tasks(stack: ComposeStack, gguf_file: Path) -> None:
    unpublished = "--set=ports.ollama=null"
    assert stack.inv("compose.up", unpublished).returncode == 0
    try:
        assert stack.published.keys() == {"devai"}
        for task in ("models.pull", f"models.pull --name={gguf_file}", f"models.remove --name={gguf_file.stem} --yes"):
            result = stack.inv(*task.split(), unpublished)
            assert result.returncode == 0, result.stderr
        listed = stack.inv("models.list", "--json", unpublished)
        assert [model["name"] for model in json.loads(listed.stdout)] == ["smollm2:135m"]
        assert "smollm2:135m" in stack.jupyter.execute("import ollama; print(ollama.list())")
    finally:
        assert stack.inv("compose.up").returncode == 0


def invalid_archives(valid: Path, folder: Path) -> dict[Path, str]:
    """Write modified copies of an exported archive; return the expected error message for each."""
    damaged, renaming, nested = (folder / f"{name}.tar" for name in ("damaged", "renaming", "nested"))
    content = bytearray(valid.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    for file in (renaming, nested):
        shutil.copy(valid, file)
    # Python's tarfile reads this entry as a blob, but GNU tar would overwrite Ollama's key with it.
    entry = tarfile.TarInfo(f"blobs/sha256-{hashlib.sha256(b'planted').hexdigest()}")
    entry.size = len(b"planted")
    entry.pax_headers = {"GNU.sparse.name": ".ollama/id_ed25519", "path": entry.name}
    with tarfile.open(renaming, "a") as archive:
        archive.addfile(entry, io.BytesIO(b"planted"))
    entry = tarfile.TarInfo("manifests/registry.test/library/nested/latest")
    entry.size = 200_000
    with tarfile.open(nested, "a") as archive:
        archive.addfile(entry, io.BytesIO(b"[" * entry.size))
    return {damaged: "is damaged", renaming: "neither a file nor a folder", nested: "is nested too deeply"}


def test_pulling_an_invalid_gguf_file_is_refused(stack: ComposeStack) -> None:
    (stack.project.root / "broken.gguf").write_bytes(b"no model")
    refused = stack.inv("models.pull", "--name=broken.gguf")
    assert refused.returncode == 1
    assert "can't create a model from" in refused.stderr


def test_missing_permission_on_the_socket_is_reported_with_a_hint(stack: ComposeStack, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        listener.listen()
        (tmp_path / "docker.sock").chmod(0o000)
        # Without these capabilities, root is denied access like any other user.
        limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        refused = subprocess.run(
            [*limited, str(Path(sys.executable).with_name("inv")), "up", "--env=smoke"],
            cwd=stack.project.root,
            env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert refused.returncode == 1
    assert "no permission on the engine's socket; `sudo usermod -aG docker $USER`" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_changed_requirements_rebuild_only_the_layers_after_them(stack: ComposeStack) -> None:
    requirements = stack.project.root / "requirements.txt"
    shipped = requirements.read_text(encoding="utf-8")
    # A new UUID each time, because the engine's build cache is kept between runs.
    requirements.write_text(f"tomli-w # {uuid.uuid4()}\n", encoding="utf-8")
    try:
        built = stack.inv("image.build")
        assert built.returncode == 0, built.stderr
        docker("run", "--rm", "--entrypoint=/opt/lab/bin/python", "devai-test-lab:local-smoke", "-c", "import tomli_w")
    finally:
        requirements.write_text(shipped, encoding="utf-8")
        assert stack.inv("image.build").returncode == 0
    printed = re.findall(r"^#(\d+) \[(\w+) +(\d+)/\d+\] (?!FROM)(.*)", built.stderr, flags=re.MULTILINE)
    cached = re.findall(r"^#(\d+) CACHED$", built.stderr, flags=re.MULTILINE)
    executed = {(stage, int(step)) for number, stage, step, _ in printed if number not in cached}
    (install_step,) = {int(step) for _, stage, step, text in printed if stage == "lab" and "from=person" in text}
    assert {("person", 1), ("lab", install_step)} <= executed  # copying the file, and installing its packages
    assert {stage for stage, _ in executed} == {"person", "lab"}
    assert min(step for stage, step in executed if stage == "lab") == install_step


def test_full_disk_during_a_build_prints_one_message(stack: ComposeStack, small_engine: str) -> None:
    base = "devai-base:trixie" if docker("images", "-q", "devai-base:trixie") else "debian:trixie-slim"
    archive = stack.project.root / "base.tar"
    docker("save", "--output", str(archive), base)
    subprocess.run(["docker", "-H", small_engine, "load", "--input", archive], capture_output=True, check=True)
    archive.unlink()

    failed = stack.inv("image.build", environ={"DOCKER_HOST": small_engine})

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].endswith(
        "the engine's disk is full; `docker system prune` removes unused data [DEVAI-ENGINE-005]"
    )
    assert "Traceback" not in failed.stderr


@pytest.fixture(scope="module")
def gguf_file(stack: ComposeStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file on this machine: the stack's own model, as Ollama stores it."""
    file = tmp_path_factory.mktemp("models") / "copied.gguf"
    largest = stack.host("ollama").check_output("ls -S /models/blobs | head -n 1")
    docker("cp", f"{stack.container('ollama')}:/models/blobs/{largest}", str(file))
    return file


@pytest.fixture
def small_engine() -> Iterator[str]:
    """The address of an engine with a disk that is too small for the lab's image."""
    if os.geteuid() != 0:
        skip_or_fail("a temporary engine needs root")
    # The length of a socket's path is limited.
    folder = Path(tempfile.mkdtemp(prefix="devai-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], check=True)
    script, environ = str(REPOSITORY / "scripts/engine.sh"), {**os.environ, "DEVAI_ENGINE_DIR": str(folder)}
    try:
        subprocess.run([script, "start"], env=environ, stdin=subprocess.DEVNULL, check=True)
        yield f"unix://{folder}/run/docker.sock"
    finally:
        subprocess.run([script, "stop"], env=environ, stdin=subprocess.DEVNULL, check=True)
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()

"""Command line: messages, exit codes, and what a wrong command leaves unchanged."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]
CANARY = "c4n4ry-of-the-unit-tests"


def tree(project: Project) -> dict[str, bytes | str]:
    """Return the content of each file and the target of each link in a project, except for history and locks."""
    return {
        path.relative_to(project.root).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in project.root.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name not in ("history.jsonl", "lock")
    }


# Wrong flags, and how the message for each begins.
WRONG = {
    "--env=prdo": "--env=prdo  unknown environment 'prdo'; did you mean prod?\n  one of: dev, prod, staging; to",
    "--cloud=lcoal": "--cloud=lcoal  unknown cloud 'lcoal'; did you mean local?\n  one of: aws, azure, gcp, local",
    "--env=../profiles/dev": "--env=../profiles/dev  unknown environment '../profiles/dev'",
    "--set=prots.lab=1": "--set prots.lab=1  prots\n  no such key in the configuration; did you mean ports?",
    "--set=ports.labb=1": "--set ports.labb=1  ports.labb\n  no such key in ports; did you mean lab?",
    "--set=ports.lab": "--set ports.lab  not an override\n  write --set section.key=value",
    "--set=ports.lab=many": "--set ports.lab=many  ports.lab = many\n  not a whole number",
    "--set=ports.lab=0": "--set ports.lab=0  ports.lab = 0\n  a number from 1 to 65535",
    "--set=ports=5": "--set ports=5  ports = 5\n  a section with the keys lab, ollama",
    "--set=models=[a": "--set models=[a  models\n  not valid YAML",
    "--set=env.A=${": "--set env.A=${  env.A = ${",
    "--set=env.A=${missing}": "--set env.A=${missing}  env.A = ${missing}\n  refers to unknown key missing",
    "--set=env.A=${env.A}": "--set env.A=${env.A}  env.A = ${env.A}\n  refers to itself",
    "--set=secrets.JUPYTER_TOKEN=${secret:A}": "--set secrets.JUPYTER_TOKEN=${secret:A}  secrets.JUPYTER_TOKEN\n",
}
BROKEN_FILES = {
    "empty": b"",
    "no mapping": b"- a\n",
    "broken": b"ports: {lab: 1\n",
    "duplicate key": b"ports: {lab: 1, lab: 2}\n",
    "undecodable": b"\xff\xfe\x00",
    "alias bomb": b"a: &a [x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 106)),
    "alias in itself": b"ports: &a {lab: *a}\n",
    "custom tag": b"ports: !mine {lab: 1}\n",
    "deep": b"ports: " + b"[" * 1000,
}


def assert_clean(result: CompletedProcess[str], code: int) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stdout == ""


@pytest.mark.parametrize("flag", WRONG)
def test_wrong_flag_prints_one_message_and_writes_nothing(project: Project, devai: Run, flag: str) -> None:
    before = tree(project)
    result = devai("config.render", flag)
    assert_clean(result, 2)
    assert result.stderr.startswith(WRONG[flag])
    assert tree(project) == before


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_broken_file_prints_one_message_and_writes_nothing(project: Project, devai: Run, kind: str) -> None:
    (project.conf / "profiles" / "dev.yaml").write_bytes(BROKEN_FILES[kind])
    before = tree(project)
    result = devai("up")
    assert_clean(result, 2)
    assert result.stderr.startswith("conf/profiles/dev.yaml")
    assert result.stderr.endswith("1 error. Nothing was changed.\n")
    assert tree(project) == before


def test_all_problems_are_reported_together(project: Project, cli: Run) -> None:
    (project.conf / "personal.yaml").write_text("ports: {labb: 1}\n", encoding="utf-8")
    before = tree(project)
    result = cli("inv", "up", "--set", "gpu.enabled=maybe", "--set", "resources.lab.cpus=1", DEVAI__PORTS__X="1")
    assert_clean(result, 2)
    unknown = ("conf/personal.yaml:1:9  ports.labb", "DEVAI__PORTS__X  ports.x", "--set resources.lab.cpus=1")
    for location in (*unknown, "--set gpu.enabled=maybe  gpu.enabled = maybe\n  true or false"):
        assert location in result.stderr
    assert result.stderr.endswith("4 errors. Nothing was changed.\n")
    assert tree(project) == before


def test_protected_stack_must_not_listen_on_all_addresses(project: Project, devai: Run) -> None:
    (project.conf / "stacks" / "local-prod.yaml").write_text("network: {bind_address: 0.0.0.0}\n", encoding="utf-8")
    result = devai("up", "--env=prod")
    assert_clean(result, 2)
    assert result.stderr.startswith("conf/stacks/local-prod.yaml:1:25  network.bind_address = 0.0.0.0\n")


def test_missing_default_environment_is_an_error(project: Project, devai: Run) -> None:
    (project.conf / "common/defaults.yaml").unlink()
    result = devai("config.show")
    assert_clean(result, 2)
    assert "conf/common/defaults.yaml:1:1  defaults.env has no value\n  one of: dev, prod, staging" in result.stderr


def test_closed_stdout_stops_the_program_without_a_message(project: Project, clean_environment: None) -> None:  # noqa: ARG001 - for its effect
    program = str(Path(sys.executable).with_name("inv"))
    with subprocess.Popen([program, "config.show"], cwd=project.root, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_devai_traceback_prints_the_traceback(cli: Run) -> None:
    result = cli("inv", "config.show", "--set=nonsense", DEVAI_TRACEBACK="1")
    assert result.returncode != 0
    assert "Traceback (most recent call last)" in result.stderr
    assert "ConfigError" in result.stderr


@pytest.mark.parametrize("program", ["inv", "devai"])
def test_config_show_prints_the_settings_of_a_stack(cli: Run, program: str) -> None:
    result = cli(program, "config.show", "--env", "prod", "--set", "ports.lab=9000", "--json", DEVAI__GPU__COUNT="3")
    assert result.returncode == 0
    shown = json.loads(result.stdout)
    assert shown["protected"] is True
    assert shown["ports"]["lab"] == 9000
    assert shown["gpu"]["count"] == "3"


def test_config_show_prints_a_single_value(devai: Run) -> None:
    assert devai("config.show", "--key=project.name").stdout == "devai\n"
    assert devai("config.show", "--key=ports.lab").stdout.startswith("8888\n")
    result = devai("config.show", "--key=prots")
    assert_clean(result, 2)
    assert "did you mean ports?" in result.stderr


def test_config_render_writes_artifacts_and_prints_their_folder(project: Project, devai: Run) -> None:
    result = devai("config.render", "--env=staging")
    assert result.returncode == 0
    assert result.stderr == "rendered generated/local-staging/: 13 changed\n"
    assert (project.root / "generated/local-staging/compose/.env").is_file()
    before = tree(project)
    assert devai("config.render", "--env=staging").returncode == 0
    assert tree(project) == before


def test_tasks_run_in_subfolders_of_a_project(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root / "deploy" / "compose")
    assert devai("config.render").returncode == 0
    assert (project.root / "generated/local-dev/compose/.env").is_file()


def test_secrets_appear_neither_in_artifacts_nor_in_output(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.conf / "secrets.yaml"
    file.write_text(f"OPENAI_API_KEY: {CANARY}\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    for arguments in (["config.render"], ["config.show"], ["config.show", "--json"], ["--dry", "up"], ["compose.up"]):
        result = devai(*arguments)
        assert CANARY not in result.stdout + result.stderr
    written = [path for path in (project.root / "generated").rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compose.upp"], "No idea what 'compose.upp' is; did you mean compose.up?"),
        (["cmopose.up"], "No idea what 'cmopose.up' is; did you mean compose.up?"),
        (["compose.up", "--envv=dev"], "No idea what '--envv' is; did you mean --env?"),
        (["models.pull", "--nmae=x"], "No idea what '--nmae' is; did you mean --name?"),
        (["compose.up", "extra"], "No idea what 'extra' is"),
        (["--nonsense"], "No idea what '--nonsense' is"),
        (["compose.logs", "--tail"], "--tail needs a value: --tail=…; `devai --help compose.logs` describes it\n"),
        (["--list-depth"], "--list-depth needs a value: --list-depth=…; `devai --help` describes it\n"),
        (["--help", "stauts"], "No idea what 'stauts' is; did you mean status?"),
        (["--help=compose.upp"], "No idea what 'compose.upp' is; did you mean compose.up?"),
        (["--list=tff"], "unknown collection 'tff'; did you mean tf? (there are: compose, "),
        (["--list", "--list-format=jsno"], "unknown format 'jsno'; did you mean json?"),
        (["image.scan", "--scanner=gripe"], "unknown scanner 'gripe'; did you mean grype?"),
        (["new"], "did not receive required positional arguments: 'directory'"),
    ],
)
def test_mistyped_task_or_flag_exits_with_2_and_a_suggestion(devai: Run, arguments: list[str], message: str) -> None:
    result = devai(*arguments)
    assert_clean(result, 2)
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["compose.logs", "--tail=²"],
        ["k8s.port-forward", "--port=²"],
        ["k8s.rollback", "--revision=²"],
        ["k8s.wait", "--seconds=²"],
    ],
)
def test_superscript_digit_is_not_a_number(devai: Run, arguments: list[str]) -> None:
    result = devai(*arguments)
    assert_clean(result, 2)
    assert result.stderr.startswith(f"{arguments[1]} is n")


def test_unreachable_engine_prints_one_message_with_its_address(project: Project, devai: Run) -> None:
    result = devai("compose.up")
    assert_clean(result, 1)
    assert result.stderr.count("\n") == 1
    assert (
        "no container engine answers at unix:///nonexistent/docker.sock; DOCKER_HOST is set to this address"
        in result.stderr
    )
    assert not (project.root / ".devai/local-dev/token").exists()


def test_missing_docker_program_is_reported(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = devai("compose.up")
    assert_clean(result, 1)
    assert "docker is not installed" in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no terminal to ask; nothing was changed; pass --confirm=devai-local-dev [DEVAI-STACK-004]"),
        (["--confirm=other-local-dev"], "'other-local-dev' is not devai-local-dev; nothing was changed"),
        (["--confirm=local-dev"], "'local-dev' is not devai-local-dev; nothing was changed"),
    ],
)
def test_data_is_removed_only_with_the_names_of_project_and_stack(
    project: Project, devai: Run, flags: list[str], message: str
) -> None:
    before = tree(project)
    result = devai("compose.down", "--data", *flags)
    assert_clean(result, 2)
    assert result.stderr.splitlines() == [
        "local-dev: the lab stops; this permanently removes all notebooks in its home and all its models",
        message,
    ]
    assert tree(project) == before


def test_models_remove_needs_a_name(devai: Run) -> None:
    result = devai("models.remove")
    assert_clean(result, 2)
    assert "--name=MODEL" in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--set=ollama.mode=external", "--set=ollama.url=http://127.0.0.1:9"],
            "no Ollama answers at http://127.0.0.1:9; start it there, or change ollama.url",
        ),
        (
            ["--env=staging", "--set=ports.ollama=9"],
            (
                "no Ollama answers at http://127.0.0.1:9; "
                "`inv compose.up --env=staging --cloud=local --set=ports.ollama=9` starts it"
            ),
        ),
    ],
)
def test_unreachable_ollama_is_reported_with_a_hint(devai: Run, flags: list[str], message: str) -> None:
    result = devai("models.list", *flags)
    assert_clean(result, 1)
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that installs a fake `docker`, whose engine runs the lab of local-dev on a port of this machine.

    With port 0, the engine runs no lab.
    """

    def install(port: int) -> None:
        labels = {"com.docker.compose.service": "devai"}
        ports = {"8888/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        lab = {
            "Id": "0", "Name": "/lab", "Image": "sha256:0", "Mounts": [], "Config": {"Labels": labels, "Image": "lab"},
            "State": {"Status": "running"}, "NetworkSettings": {"Ports": ports},
        }  # fmt: skip
        program = tmp_path / "bin/docker"
        program.parent.mkdir(exist_ok=True)
        answers = {"*inspect*": json.dumps([lab]), "*--no-trunc*": "0" if port else "", "*info*": "{}"}
        cases = "".join(f"{pattern}) echo '{answer}';;\n" for pattern, answer in answers.items() if answer)
        text = f'#!/bin/sh\ncase "$*" in\n{cases}esac\n'
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return install


def test_open_prints_the_address_only_if_the_lab_runs_and_answers(devai: Run, engine: Callable[[int], None]) -> None:
    with socket.socket() as lab:
        lab.bind(("127.0.0.1", 0))
        number = lab.getsockname()[1]
        port = f"--set=ports.lab={number}"
        engine(number)
        refused = devai("open", "--print", port)
        assert_clean(refused, 1)
        assert f"/lab; `inv up --env=dev --cloud=local {port}`" in refused.stderr
        lab.listen()
        assert f":{number}/lab?token=" in devai("open", "--print", port).stdout


def test_other_program_on_the_port_of_a_stopped_lab_gets_no_connection(
    project: Project, devai: Run, engine: Callable[[int], None], tmp_path: Path
) -> None:
    engine(0)
    archive = tmp_path / "home.tar.gz"
    archive.touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = f"--set=ports.lab={listener.getsockname()[1]}"
        backup = ["data.backup", f"--file={tmp_path / 'new.tar.gz'}"]
        restore = ["data.restore", f"--file={archive}", "--yes"]
        for arguments in (["open", "--print"], ["open"], backup, restore):
            refused = devai(*arguments, port)
            assert_clean(refused, 1)
            assert "local-dev does not run at" in refused.stderr
            assert f"`inv up --env=dev --cloud=local {port}` starts the lab" in refused.stderr
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert not (project.root / ".devai/local-dev/token").exists()


def test_browser_gets_a_private_page_and_no_token(
    project: Project, cli: Run, tmp_path: Path, engine: Callable[[int], None]
) -> None:
    """The browser is a fake: a script that writes its arguments to a file."""
    program, log = tmp_path / "browser", tmp_path / "arguments"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{log}\n', encoding="utf-8")
    program.chmod(0o755)
    with socket.socket() as lab:
        lab.bind(("127.0.0.1", 0))
        lab.listen()
        engine(lab.getsockname()[1])
        port = f"--set=ports.lab={lab.getsockname()[1]}"
        opened = cli("inv", "open", port, BROWSER=f"{program} %s")
    assert opened.returncode == 0, opened.stderr
    address = opened.stdout.strip()
    (argument,) = log.read_text(encoding="utf-8").splitlines()
    page = Path(argument.removeprefix("file://"))
    assert page.parent == project.root / ".devai/local-dev"
    assert (page.stat().st_mode & 0o777, (project.root / ".devai").stat().st_mode & 0o777) == (0o600, 0o700)
    assert address.partition("token=")[2] not in argument
    assert f'content="0; url={address}"' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "reason", "hint"),
    [
        (["compose.up", "--cloud=aws"], "compute.provider: aws", "--cloud=local selects this machine"),
        (["tf.plan"], "compute.provider: local", "Terraform needs a cloud: --cloud=aws, azure or gcp"),
        (
            ["k8s.status", "--cloud=aws", "--set=compute.platform=simple"],
            "compute.platform: simple",
            "set compute.platform to kubernetes",
        ),
    ],
)
def test_stack_without_the_target_is_refused_with_the_reason_and_a_hint(
    devai: Run, arguments: list[str], reason: str, hint: str
) -> None:
    result = devai(*arguments)
    assert_clean(result, 2)
    assert f"({reason}) has no target " in result.stderr
    assert result.stderr.endswith(f"; {hint}\n")


def test_new_writes_a_project_and_does_not_overwrite_it(tmp_path: Path, cli: Run) -> None:
    target = tmp_path / "new lab"
    result = cli("devai", "new", str(target))
    assert result.returncode == 0
    assert result.stderr == f"wrote the project new-lab to {target}/; next: cd '{target}' && devai up\n"
    assert (target / "conf/common/ports.yaml").is_file()
    again = cli("devai", "new", str(target))
    assert_clean(again, 2)
    assert "exists and is not empty; nothing was written" in again.stderr


@pytest.mark.parametrize("flag", ["--help", "-x", "--force", "-h"])
def test_new_does_not_use_a_flag_as_its_folder(project: Project, devai: Run, flag: str) -> None:
    before = tree(project)
    assert devai("new", flag).returncode in (0, 2)
    assert tree(project) == before
    assert not (project.root / flag).exists()


def test_missing_project_is_reported_with_the_command_devai_new(
    tmp_path: Path, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = devai("up")
    assert_clean(result, 2)
    assert "`devai new DIR` creates one" in result.stderr


def test_both_programs_have_the_same_tasks(cli: Run) -> None:
    listings = [cli(program, "--list", "--list-format=json") for program in ("inv", "devai")]
    assert [listing.returncode for listing in listings] == [0, 0]
    tasks = [json.dumps(json.loads(listing.stdout)["collections"], sort_keys=True) for listing in listings]
    assert tasks[0] == tasks[1]
    assert Path(sys.executable).with_name("devai").exists()

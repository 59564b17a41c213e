"""Environment variables in values: only declared ones, none that look like secrets, and none in output."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from harness.project import declare
from harness.settings import Sources, load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError

Run = Callable[..., CompletedProcess[str]]
LOCAL_DEV = Stack("dev", "local")
CANARY = "c4n4ry-of-the-environment"
SECRETS = ("GITHUB_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "REDIS_URL", "SENTRY_DSN", "SSHPASS")


def refused(project: Project, *overrides: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        load(project, LOCAL_DEV, overrides, environ={})
    return str(refusal.value)


@pytest.mark.parametrize("name", [*SECRETS, "HTTPS_PROXY"])
def test_declared_variable_with_the_name_of_a_secret_is_refused(project: Project, name: str) -> None:
    assert f"{name} looks like a secret: refer to it under secrets, as ${{secret:{name.upper()}}}" in refused(
        project, f"env.A=${{oc.env:{name},x}}"
    )
    declare(project, name)
    message = refused(project, f"env.A=${{oc.env:{name},x}}")
    assert message.count("looks like a secret") == 2
    assert "conf/common/variables.yaml:1:12  variables" in message


@pytest.mark.parametrize(
    "written",
    [
        "${oc.env:CANARY}",
        "${oc.env:CANARY,x}",
        "${ oc.env : CANARY }",
        "a-${oc.env:HOST_IP,${oc.env:CANARY}}",
        r"\\${oc.env:CANARY}",
        "${oc.env:${env.NAME}}",
        "${oc.env:'CANARY'}",
        "${oc.decode:${oc.env:CANARY}}",
        "${ oc.decode:x}",
        "${${labels.resolver}:CANARY,x}",
        "${oc.${labels.part}:CANARY,x}",
        r"${oc.env:HOST_IP,\${oc.env:CANARY}}",
        r"${oc.env:HOST_IP,'\\${oc.env:CANARY}'}",
        "${${labels.key}}",
        "${env[OTHER]}",
    ],
)
def test_undeclared_variable_is_refused_in_every_notation(
    project: Project, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    labels = "labels={resolver: oc.env, part: env, key: env.NAME}"
    message = refused(project, f"env.A={json.dumps(written)}", "env.NAME=CANARY", "env.OTHER=x", labels)
    assert "env.A = " in message
    assert CANARY not in message


def test_undeclared_variable_has_an_error_code(project: Project) -> None:
    hint = "add it to conf/common/variables.yaml [DEVAI-CONFIG-001]\n1 error."
    assert f"environment variable OTHER is not declared: {hint}" in refused(project, "env.A=${oc.env:OTHER}")


def test_declared_variable_is_inserted_and_escaped_one_is_a_string(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "TEAM")
    monkeypatch.setenv("TEAM", "one")
    settings = load(project, LOCAL_DEV, ["env.A=team-${oc.env:TEAM}", r"env.B=\${oc.env:OTHER}"], environ={})
    assert (settings.env["A"], settings.env["B"]) == ("team-one", "${oc.env:OTHER}")


def test_url_with_a_password_is_refused_for_any_variable_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "MIRROR")
    for allowed in ("https://mirror.example/a:b@c", "https://user@mirror.example", "mirror:5000"):
        monkeypatch.setenv("MIRROR", allowed)
        assert load(project, LOCAL_DEV, ["env.A=${oc.env:MIRROR}"], environ={}).env["A"] == allowed
    monkeypatch.setenv("MIRROR", "https://user:hunter2@mirror.example")
    message = refused(project, "env.A=${oc.env:MIRROR}")
    assert "the value of MIRROR is a URL with a password: refer to it under secrets" in message
    assert "hunter2" not in message


def test_only_shared_files_can_declare_variables(project: Project) -> None:
    (project.conf / "profiles/dev.yaml").write_text("variables: [TEAM]\n", encoding="utf-8")
    assert "cannot be set here, only in: common" in refused(project)


def test_tasks_print_references_to_variables_but_not_their_values(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "TEAM")
    flags = ("--set=env.A=${oc.env:TEAM}", "--set=env.B=x-${env.A}")
    monkeypatch.setenv("TEAM", CANARY)
    for argv in (["config.show"], ["config.show", "--json"], ["config.explain"], ["config.diff", "--against=prod"]):
        result = devai(*argv, *flags)
        assert result.returncode == 0, result.stderr
        assert ("${oc.env:TEAM}" in result.stdout) == (argv[0] != "config.diff")  # the value is the same in both stacks
        assert CANARY not in result.stdout + result.stderr
    assert devai("config.show", "--key=env.B", *flags).stdout == "x-${env.A}\n"
    monkeypatch.delenv("TEAM")
    flags = ("--set=env.A=${oc.env:TEAM,none}", "--set=env.B=x-${env.A}")
    assert devai("config.show", "--key=env.B", *flags).stdout == "x-none\n"


def test_read_only_task_must_not_contact_an_address_from_a_variable(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "SERVER")
    overrides = ["ollama.mode=external", "ollama.url=${env.A}", "env.A=http://${oc.env:SERVER,127.0.0.1}:9"]
    url = ("ollama", "url")
    assert Sources(project, {}).configuration(LOCAL_DEV, overrides).why_unvisited(url) == ""
    monkeypatch.setenv("SERVER", "192.0.2.7")
    configuration = Sources(project, {}).configuration(LOCAL_DEV, overrides)
    assert configuration.settings.ollama.url == "http://192.0.2.7:9"
    assert configuration.why_unvisited(url).startswith("ollama.url contains the environment variable SERVER")


@pytest.mark.parametrize(
    ("url", "others"),
    [
        ("http://${labels.a}:1", ["labels=${env}", "env.a=${oc.env:TEAM}"]),
        ("http://${network.allowed_hosts.0}:1", ["network.allowed_hosts=['${oc.env:TEAM}']"]),
        ("http://${models.0}:1", ["models=['${labels.x}']", "labels.x=${oc.env:TEAM}"]),
    ],
)
def test_variable_is_found_through_maps_and_lists(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str, others: list[str]
) -> None:
    declare(project, "TEAM")
    monkeypatch.setenv("TEAM", "one.example.com")
    configuration = Sources(project).configuration(LOCAL_DEV, ["ollama.mode=external", f"ollama.url={url}", *others])
    assert configuration.settings.ollama.url == "http://one.example.com:1"
    assert configuration.variables(("ollama", "url")) == {"TEAM"}
    assert "one.example.com" not in json.dumps(configuration.plain)


def test_doctor_does_not_contact_a_server_that_a_variable_names(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "SERVER")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        monkeypatch.setenv("SERVER", f"127.0.0.1:{server.getsockname()[1]}")
        flags = ("--set=ollama.mode=external", "--set=ollama.url=http://${oc.env:SERVER}")
        output = " ".join(devai("doctor", *flags).stdout.split())
        assert "Ollama not checked: ollama.url contains the environment variable SERVER" in output
        with pytest.raises(BlockingIOError):  # no connection was made
            server.accept()


def test_plan_and_status_do_not_read_a_state_whose_store_is_in_a_variable(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "STORE")
    monkeypatch.setenv("STORE", "another-store")
    monkeypatch.setenv("PATH", "/nonexistent")  # any program that is started would be missing
    flags = ("--cloud=aws", "--set=terraform.account=210987654321", "--set=network.allowed_cidrs=[198.18.0.0/16]")
    store = "--set=terraform.state.store=${oc.env:STORE}"
    reason = "terraform.state.store contains the environment variable STORE; a read-only task does not contact"
    for task in ("plan", "status"):
        result = devai(task, *flags, store)
        assert result.returncode == 0, result.stderr
        assert reason in " ".join((result.stdout + result.stderr).split())
    assert os.environ["STORE"] not in result.stdout + result.stderr

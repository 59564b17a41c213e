"""Docker Compose parses the rendered files of every shipped stack, with and without GPUs, in every mode of Ollama."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.prerequisites import skip_or_fail
from harness.project import fresh
from harness.settings import load

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.stack import artifacts
from devai_tasks.targets.templating import escape_compose, quote_dotenv, quote_yaml
from devai_tasks.workspace import scaffold

ENVIRONMENTS = ("dev", "staging", "prod")
MODES = {
    "container": ("ollama.mode=container",),
    "host": ("ollama.mode=host",),
    "external": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
}
VARIANTS = list(itertools.product(ENVIRONMENTS, (False, True), MODES))


def docker(*arguments: str, folder: Path) -> str:
    """Run the docker command line without an engine; return its output."""
    if not shutil.which("docker"):
        skip_or_fail("docker is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "DEVAI_"))}
    environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    result = subprocess.run(
        ["docker", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if "is not a docker command" in result.stderr:
        skip_or_fail(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    assert "level=warning" not in result.stderr
    return result.stdout


def compose(folder: Path, env_file: str) -> dict[str, Any]:
    """Return the definition that Compose parses, without the doubled `$` of its output."""
    output = docker("compose", "--env-file", env_file, "config", "--format=json", folder=folder)
    definition = json.loads(output.replace("$$", "$"))
    assert isinstance(definition, dict)
    return definition


@dataclass(frozen=True)
class ParsedStack:
    """A stack's settings and the definition that Compose parses."""

    settings: Settings
    definition: dict[str, Any]

    @property
    def lab(self) -> dict[str, Any]:
        """The service of the lab."""
        service = self.definition["services"]["devai"]
        assert isinstance(service, dict)
        return service

    @property
    def published(self) -> set[tuple[str, str]]:
        """Address and port of all published ports."""
        services = self.definition["services"].values()
        return {(port["host_ip"], port["published"]) for service in services for port in service.get("ports", ())}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in a folder whose name contains shell metacharacters."""
    return fresh(tmp_path_factory.mktemp("my labs") / "it's $one")


def read(project: Project, environment: str, overrides: Sequence[str] = (), *, gpu: bool = False) -> ParsedStack:
    settings = load(project, Stack(environment, "local"), overrides, gpu=gpu, environ={})
    artifacts.write(project, settings)
    return ParsedStack(settings, compose(project.root, f"generated/local-{environment}/compose/.env"))


@pytest.fixture(scope="module")
def stacks(lab: Project) -> dict[tuple[str, bool, str], ParsedStack]:
    """All variants of the shipped stacks, by environment, GPU and mode of Ollama."""
    return {(env, gpu, mode): read(lab, env, MODES[mode], gpu=gpu) for env, gpu, mode in VARIANTS}


def test_compose_accepts_every_stack_variant(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    assert len(stacks) == 18
    for (environment, _, mode), stack in stacks.items():
        assert stack.definition["name"] == f"devai-local-{environment}"
        assert set(stack.definition["services"]) == ({"devai", "ollama"} if mode == "container" else {"devai"})


def test_ports_are_published_on_loopback_by_default(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    for stack in stacks.values():
        assert {address for address, _ in stack.published} == {"127.0.0.1"}


def test_bind_address_of_lab_does_not_publish_ollama(lab: Project) -> None:
    stack = read(lab, "dev", ["network.bind_address=0.0.0.0", "tls.proxy=true"])
    assert stack.published == {("0.0.0.0", "8888"), ("127.0.0.1", "11434")}


def test_null_port_leaves_ollama_unpublished(lab: Project) -> None:
    stack = read(lab, "dev", ["ports.ollama=null"])
    assert stack.published == {("127.0.0.1", "8888")}
    assert stack.lab["environment"]["OLLAMA_HOST"] == "http://ollama:11434"


def test_containers_drop_privileges_and_set_no_name(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    for stack in stacks.values():
        for service in stack.definition["services"].values():
            assert "container_name" not in service
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert not service.get("privileged")
            assert service["networks"].keys() == {"lab"}


def test_lab_adds_capabilities_only_for_nonroot_uid(lab: Project) -> None:
    def user_and_capabilities(uid: int) -> tuple[str, list[str]]:
        services = read(lab, "dev", [f"engine.uid={uid}", "engine.gid=7", "vector_store.kind=chroma"]).definition[
            "services"
        ]
        assert not any("cap_add" in services[name] for name in ("ollama", "chroma"))
        return services["devai"]["user"], sorted(services["devai"].get("cap_add", ()))

    assert user_and_capabilities(0) == ("0:7", [])
    assert user_and_capabilities(4242) == ("0:0", ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETPCAP", "SETUID"])


def test_services_limit_pids_and_only_lab_has_writable_root(lab: Project) -> None:
    limits = ["resources.lab.pids=5000", "resources.ollama.pids=600", "resources.vector_store.pids=700"]
    services = read(lab, "dev", ["vector_store.kind=chroma", *limits]).definition["services"]
    assert {name: service["pids_limit"] for name, service in services.items()} == {
        "devai": 5000, "ollama": 600, "chroma": 700
    }  # fmt: skip
    assert {name: service.get("read_only", False) for name, service in services.items()} == {
        "devai": False, "ollama": True, "chroma": True
    }  # fmt: skip


def test_data_is_in_named_volumes(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    for stack in stacks.values():
        mounts = {mount["target"]: mount for mount in stack.lab["volumes"]}
        assert mounts["/home/devai"]["type"] == "volume"
        assert mounts["/home/devai/work"]["type"] == "bind"
        assert {volume["name"] for volume in stack.definition["volumes"].values()} <= {
            f"{stack.definition['name']}_{name}" for name in ("home", "models")
        }


def test_secrets_are_files_and_not_environment_variables(
    lab: Project, stacks: dict[tuple[str, bool, str], ParsedStack]
) -> None:
    for stack in stacks.values():
        names = {"JUPYTER_TOKEN", *stack.settings.secrets}
        assert {secret["source"] for secret in stack.lab["secrets"]} == names
        state = lab.state(stack.settings.stack).resolve()
        files = {name: secret["file"] for name, secret in stack.definition["secrets"].items()}
        assert files == {
            name: str(state / "token" if name == "JUPYTER_TOKEN" else state / "secrets" / name) for name in names
        }
        assert not names & set(stack.lab["environment"])


def test_resource_limits_reach_compose(lab: Project) -> None:
    limits = ["resources.lab.cpu=1500m", "resources.lab.memory=1.5Gi", "resources.ollama.memory=3GB"]
    definition = read(lab, "dev", limits).definition
    lab_service, ollama = definition["services"]["devai"], definition["services"]["ollama"]
    assert float(lab_service["cpus"]) == 1.5
    assert int(lab_service["mem_limit"]) == 3 * 2**29
    assert float(ollama["cpus"]) == 2
    assert int(ollama["mem_limit"]) == 3 * 10**9


def test_prod_uses_limits_of_its_profile(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    assert int(stacks["prod", False, "container"].lab["mem_limit"]) == 8 * 2**30
    assert int(stacks["dev", False, "container"].lab["mem_limit"]) == 4 * 2**30


def test_only_gpu_stacks_reserve_gpus(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    for (_, gpu, _), stack in stacks.items():
        for service in stack.definition["services"].values():
            devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
            assert [device["driver"] for device in devices] == (["nvidia"] if gpu else [])


def test_vector_store_is_an_unpublished_service(lab: Project) -> None:
    stack = read(lab, "dev", ["vector_store.kind=chroma", "resources.vector_store.memory=3GB"])
    chroma = stack.definition["services"]["chroma"]
    assert "ports" not in chroma
    assert [(mount["source"], mount["target"]) for mount in chroma["volumes"]] == [
        ("vectors", "/data"),
        (str(lab.root / "deploy/kubernetes/base/files/forward.pl"), "/usr/local/lib/devai/forward.pl"),
    ]
    assert int(chroma["mem_limit"]) == 3 * 10**9
    assert stack.lab["environment"]["DEVAI_ENV_CHROMA_HOST"] == "chroma"
    assert stack.lab["depends_on"]["chroma"]["condition"] == "service_healthy"
    assert chroma["labels"] == stack.lab["labels"]
    assert "chroma" not in read(lab, "dev").definition["services"]


def test_https_adds_certificate_files_and_changes_url(lab: Project) -> None:
    stack = read(lab, "dev", ["tls.local=true", "network.bind_address=192.0.2.7", "network.base_url=/a/"])
    assert {"tls.crt", "tls.key"} <= {secret["source"] for secret in stack.lab["secrets"]}
    assert stack.definition["secrets"]["tls.key"]["file"].endswith("/.devai/local-dev/tls.key")
    assert stack.lab["environment"]["JUPYTER_DISPLAY_URL"] == "https://192.0.2.7:8888/a/lab"
    assert "tls.key" not in read(lab, "dev").definition["secrets"]


def test_amd_gpu_gives_ollama_devices_groups_and_rocm_image(lab: Project) -> None:
    stack = read(lab, "dev", ["gpu.vendor=amd"], gpu=True)
    ollama = stack.definition["services"]["ollama"]
    assert ollama["image"] == "ollama/ollama:0.35.1-rocm"
    assert [device["source"] for device in ollama["devices"]] == ["/dev/kfd", "/dev/dri"]
    assert ollama["group_add"] == ["video", "render"]
    assert "devices" not in stack.lab
    assert "deploy" not in ollama or "reservations" not in ollama["deploy"].get("resources", {})
    assert stack.lab["image"] == "devai-lab:local-dev"  # no CUDA for AMD


def test_podman_stack_skips_health_and_uses_cdi_gpu_names(lab: Project) -> None:
    stack = read(lab, "dev", ["engine.name=podman"], gpu=True)
    assert stack.lab["depends_on"]["ollama"] == {"condition": "service_started", "required": False}
    for service in stack.definition["services"].values():
        assert [device["source"] for device in service["devices"]] == ["nvidia.com/gpu=all"]
        assert "deploy" not in service or "reservations" not in service["deploy"].get("resources", {})


def test_gpu_count_reaches_compose(lab: Project) -> None:
    def count(text: str) -> int:
        stack = read(lab, "dev", [f"gpu.count={text}"], gpu=True)
        (device,) = stack.lab["deploy"]["resources"]["reservations"]["devices"]
        return int(device["count"])

    assert count("all") == -1
    assert count("2") == 2


def test_two_stacks_share_no_resource_name(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    def names(stack: ParsedStack) -> set[str]:
        definition = stack.definition
        resources = [item["name"] for kind in ("volumes", "networks", "secrets") for item in definition[kind].values()]
        images = [service["image"] for service in definition["services"].values()]
        ports = [port for _, port in stack.published]
        return {definition["name"], *resources, *images, *ports} - {stack.settings.ollama.image}

    for left, right in itertools.combinations(ENVIRONMENTS, 2):
        assert not names(stacks[left, False, "container"]) & names(stacks[right, False, "container"])


def test_gpu_option_keeps_names_volumes_and_ports(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    for environment in ENVIRONMENTS:
        plain, gpu = stacks[environment, False, "container"], stacks[environment, True, "container"]
        for kind in ("name", "volumes", "networks"):
            assert plain.definition[kind] == gpu.definition[kind]
        assert plain.published == gpu.published


SPECIAL_TEXTS = [
    "5$",
    "${HOME}",
    "it's",
    'say "hi"',
    "back\\slash",
    "end\\",
    "\\'",
    "# no comment",
    "a: b",
    " blanks ",
    "é ☃",
    "*x",
]


def test_labels_and_variables_reach_compose_unchanged(lab: Project) -> None:
    texts = {f"N{index}": text for index, text in enumerate(SPECIAL_TEXTS)}
    flow = quote_yaml(texts).replace("${", "\\\\${")  # \${ escapes a reference in conf/
    stack = read(lab, "dev", [f"labels={flow}", f"env={flow}"])
    assert {name: stack.lab["environment"][f"DEVAI_ENV_{name}"] for name in texts} == texts
    for labels in (stack.lab["labels"], stack.definition["services"]["ollama"]["labels"]):
        assert {name: labels[name] for name in texts} == texts


def test_configured_variables_are_prefixed_until_entrypoint_drops_root(lab: Project) -> None:
    names = ("PYTHONPATH", "GIT_AUTHOR_NAME", "OPENSSL_CONF", "TMPDIR")
    environment = read(lab, "dev", [f"env.{name}=/home/devai/work" for name in names]).lab["environment"]
    assert not {*names} & {*environment}
    assert {f"DEVAI_ENV_{name}" for name in names} <= {*environment}


def test_work_folder_with_special_characters_is_mounted(lab: Project) -> None:
    for name in ("it's $mine", "a b", "a:b", "back\\slash", "end\\", "# 1", '"'):
        stack = read(lab, "dev", [f"storage.work_dir=/srv/{name}"])
        mounts = {mount["target"]: mount["source"] for mount in stack.lab["volumes"]}
        assert mounts["/home/devai/work"] == f"/srv/{name}"


def test_special_characters_survive_quoting_in_env_file(tmp_path: Path) -> None:
    """Test all texts of up to three special characters in one call of Compose."""
    special = "'\"\\$# {"
    texts = ["".join(letters) for length in (1, 2, 3) for letters in itertools.product(special, repeat=length)]
    texts += [
        *SPECIAL_TEXTS,
        "${X:-y}",
        "`ls`",
        "$(ls)",
        "\\n",
        "\\t",
        "%{x}",
        "=",
        "tab\there",
        "\u2028",
        "ends with '",
    ]
    names = [f"V{index}" for index in range(len(texts))]
    dotenv = "".join(f"{name}={quote_dotenv(text)}\n" for name, text in zip(names, texts, strict=True))
    service = {"image": "x", "environment": {name: f"${{{name}}}" for name in names}}
    (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump({"services": {"s": service}}), encoding="utf-8")
    environment = compose(tmp_path, ".env")["services"]["s"]["environment"]
    assert {name: environment[name] for name in names} == dict(zip(names, texts, strict=True))


def test_personal_override_file_is_merged_last(lab: Project) -> None:
    override = lab.root / "deploy/compose/docker-compose.override.yml"
    shutil.copy(f"{override}.example", override)
    try:
        mounts = {mount["target"] for mount in read(lab, "dev").lab["volumes"]}
    finally:
        override.unlink()
    assert "/home/devai/datasets" in mounts


def test_compose_accepts_example_env_file(shipped: Project, tmp_path: Path) -> None:
    scaffold.copy(shipped.root, tmp_path / "lab")
    folder = tmp_path / "lab/deploy/compose"
    shutil.copy(folder / ".env.example", folder / ".env")
    definition = compose(folder, ".env")
    assert definition["name"] == "devai-local-dev"
    assert definition["secrets"]["JUPYTER_TOKEN"]["file"] == str(folder / "token")
    assert set(definition["services"]) == {"devai", "ollama"}
    assert "SETUID" in definition["services"]["devai"]["cap_add"]
    mounts = {mount["target"]: mount["source"] for mount in definition["services"]["devai"]["volumes"]}
    assert mounts["/home/devai/work"] == str(tmp_path / "lab/work")


def test_compose_reads_escaped_text_unchanged(tmp_path: Path) -> None:
    labels = {f"l{index}": escape_compose(text) for index, text in enumerate(SPECIAL_TEXTS)}
    text = f"services: {{s: {{image: x, labels: {quote_yaml(labels)}}}}}\n"
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    (tmp_path / ".env").touch()
    parsed = compose(tmp_path, ".env")["services"]["s"]["labels"]
    assert [parsed[name] for name in labels] == SPECIAL_TEXTS


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_buildx_accepts_every_bake_file(lab: Project, environment: str, gpu: bool) -> None:
    certificates = lab.root / "ca.crt"
    certificates.touch()
    settings = load(lab, Stack(environment, "local"), [f"image.ca_file={certificates}"], gpu=gpu, environ={})
    artifacts.write(lab, settings)
    file = f"generated/local-{environment}/image/docker-bake.json"
    targets = json.loads(docker("buildx", "bake", "--print", f"--file={file}", "lab", "ollama", folder=lab.root))[
        "target"
    ]
    assert targets["lab"]["tags"] == [f"devai-lab:local-{environment}{'-gpu' if gpu else ''}"]
    assert targets["ollama"]["tags"] == [image_names.built_ollama(settings)]
    assert targets["lab"]["args"]["BASE_IMAGE"] == (settings.image.base.cuda13 if gpu else settings.image.base.name)
    for target in targets.values():
        assert (lab.root / target["dockerfile"]).is_file()
        assert target["secret"] == [f"id=ca,src={certificates}"]


def test_base_image_of_build_comes_from_environment(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_IMAGE", "devai-base:trixie")
    artifacts.write(lab, load(lab, Stack("dev", "local"), environ={}))
    output = docker(
        "buildx", "bake", "--print", "--file=generated/local-dev/image/docker-bake.json", "lab", folder=lab.root
    )
    assert json.loads(output)["target"]["lab"]["args"]["BASE_IMAGE"] == "devai-base:trixie"


def test_proxy_variables_become_build_arguments(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.write(lab, load(lab, Stack("dev", "local"), environ={}))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.9:3128")
    file = "--file=generated/local-dev/image/docker-bake.json"
    for target in json.loads(docker("buildx", "bake", "--print", file, "lab", "ollama", folder=lab.root))[
        "target"
    ].values():
        assert {name: value for name, value in target["args"].items() if name.endswith("_PROXY")} == {
            "HTTPS_PROXY": "http://192.0.2.9:3128"
        }


def test_ca_file_is_mounted_and_set_in_variables(lab: Project) -> None:
    (lab.root / "company $ca.crt").touch()
    stack = read(lab, "dev", ["image.ca_file=company $ca.crt", "env.PIP_CERT=/custom.crt"])
    for service in stack.definition["services"].values():
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        bundle = mounts["/etc/ssl/devai/ca.crt"]
        assert (bundle["source"], bundle["read_only"]) == (str(lab.root / "company $ca.crt"), True)
    assert stack.definition["services"]["ollama"]["environment"]["SSL_CERT_FILE"] == "/etc/ssl/devai/ca.crt"
    for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        assert stack.lab["environment"][f"DEVAI_ENV_{name}"] == "/etc/ssl/devai/ca.crt"
    assert stack.lab["environment"]["DEVAI_ENV_PIP_CERT"] == "/custom.crt"  # the user's value has precedence
    for service in read(lab, "dev", ["image.ca_file="]).definition["services"].values():
        assert not [name for name in service["environment"] if name.endswith("SSL_CERT_FILE")]


def test_ollama_gets_only_proxies_as_secrets(stacks: dict[tuple[str, bool, str], ParsedStack]) -> None:
    ollama = stacks["dev", False, "container"].definition["services"]["ollama"]
    assert {secret["source"] for secret in ollama["secrets"]} == {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    assert not [name for name in ollama["environment"] if name.endswith("_PROXY")]

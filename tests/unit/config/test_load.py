"""Loading of settings from layers: interpolation, types and rules, and all problems at once with their locations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from harness.project import declare
from harness.settings import Sources, load

from devai_tasks.config import load as loading
from devai_tasks.config import reader
from devai_tasks.config.configuration import dotted
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError

LOCAL_DEV = Stack("dev", "local")
LOCAL_PROD = Stack("prod", "local")


def dev(project: Project, *overrides: str, **variables: str) -> Settings:
    return load(project, LOCAL_DEV, overrides, environ=variables)


def refused(project: Project, *overrides: str, stack: Stack = LOCAL_DEV, **variables: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        load(project, stack, overrides, environ=variables)
    return str(refusal.value)


def test_values_refer_to_other_values(project: Project) -> None:
    settings = dev(project, "env.NAME=${project.name}-${environment}", "env.AT=${cloud}:${ports.lab}", "ports.lab=99")
    assert settings.env["NAME"] == "devai-dev"
    assert settings.env["AT"] == "local:99"
    assert settings.labels["app.kubernetes.io/instance"] == "devai-local-dev"


def test_interpolation_uses_the_strongest_layer(project: Project) -> None:
    assert dev(project, "ollama.version=1.2.3").ollama.image == "ollama/ollama:1.2.3"


def test_interpolation_may_refer_to_a_list_or_a_section(project: Project) -> None:
    assert dev(project, "models=${network.allowed_cidrs}", "network.allowed_cidrs=[198.18.0.0/15]").models == (
        "198.18.0.0/15",
    )
    resources = dev(project, "resources.ollama=${resources.lab}").resources
    assert (resources.ollama.cpu, resources.ollama.memory) == (resources.lab.cpu, resources.lab.memory)


def test_escaped_interpolation_is_a_string(project: Project) -> None:
    assert dev(project, r"env.A=\${HOME}").env["A"] == "${HOME}"


def test_environment_variable_is_interpolated(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_FOLDER", "/some/folder")
    declare(project, "SOME_FOLDER", "MISSING")
    assert dev(project, "storage.work_dir=${oc.env:SOME_FOLDER}").storage.work_dir == "/some/folder"
    message = refused(project, "env.A=${oc.env:MISSING}")
    assert "environment variable MISSING is not set; ${oc.env:MISSING,default} sets a default" in message


@pytest.mark.parametrize("name", ["all", "1", "16"])
def test_settings_have_the_types_of_the_schema(project: Project, name: str) -> None:
    settings = dev(project, "gpu.enabled=true", f"gpu.count={name}", "ollama.keep_alive=2h")
    assert settings.gpu.enabled is True
    assert settings.gpu.count == name
    assert settings.ports.lab == 8888
    assert settings.ollama.keep_alive.seconds == 7200


def test_settings_are_read_only(project: Project) -> None:
    settings = dev(project)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.protected = True  # type: ignore[misc]
    with pytest.raises(TypeError, match="does not support item assignment"):
        settings.env["A"] = "b"  # type: ignore[index]


# Invalid overrides, each with a part of its message.
BAD_FLAGS = {
    "ports.labb=1": "no such key in ports; did you mean lab?",
    "prots.lab=1": "no such key in the configuration; did you mean ports?",
    "resources.lab.cpus=1": "did you mean cpu?",
    "ports.lab=many": "ports.lab = many\n  not a whole number",
    "ports.lab=1.0": "not a whole number",
    "ports.lab=": "not a whole number",
    "ports.lab=0": "ports.lab = 0\n  a number from 1 to 65535",
    "ports.lab=65536": "a number from 1 to 65535",
    "ports.lab=-1": "a number from 1 to 65535",
    "ports.lab=[1]": "a single value, not a list",
    "ports.lab={a: 1}": "a single value, not a map",
    "ports.lab.a=1": "a single value, not a map",
    "engine.uid=-1": "a number from 0 to 2147483647",
    "gpu.enabled=yes": "true or false",
    "gpu.enabled=True": "true or false",
    "gpu.count=0": "'0' is not `all` or a number from 1",
    "resources.lab.cpu=two": "not a number of cores",
    "resources.lab.memory=4G": "not a size",
    "ollama.keep_alive=5": "not a duration",
    "ollama.mode=contaner": "one of container, host, external; did you mean container?",
    "ollama.version=latest": "'latest' is not a version, such as 1.2.3",
    "ollama.image=Not An Image": "is not an image reference",
    "project.name=Devai": "'Devai' is not up to 30 lower-case letters, digits and hyphens",
    "project.name=" + "a" * 31: "is not up to 30 lower-case letters",
    "network.bind_address=localhost": "is not an IPv4 address",
    "network.bind_address=256.0.0.1": "is not an IPv4 address",
    "network.allowed_cidrs=[203.0.113.7]": "'203.0.113.7' is not an IPv4 network; did you mean 203.0.113.7/32?",
    "network.allowed_cidrs=[192.0.2.7/24]": "'192.0.2.7/24' is not an IPv4 network; did you mean 192.0.2.0/24?",
    "network.base_url=lab": "is not a path that begins and ends with /",
    "storage.work_dir=": "'' is not a folder path",
    "storage.work_dir=~/work": "'~/work' is not a folder path",
    "image.ca_file=/a,b": "is not a file path without commas, quotes and braces",
    "models=one": "a list of strings, such as [a, b]",
    "models=[[a]]": "a list of strings",
    "models=[a b]": "'a b' is not a model name or a path",
    "models=[~]": "models.0\n  has no value",
    "image.tags=[größe]": "'größe' is not a tag",
    "gpu.count=1٢": "'1٢' is not `all` or a number from 1",
    "labels._=a": "'_' is not a label name, such as team or example.com/team",
    "labels.ö=a": "'ö' is not a label name",
    "labels.a-=b": "'a-' is not a label name",
    "labels.1e3=a": "'1e3' is not a label name",
    "labels={'true': a}": "'true' is not a label name",
    "ingress.annotations={'10': a}": "'10' is not a label name",
    "env=[a]": "a map of strings, such as {name: text}",
    "env.A.B=c": "'A.B' is not a name for an environment variable",
    "env={1A: b}": "'1A' is not a name for an environment variable",
    "secrets=[A]": "a map of strings, such as {NAME: ${secret:NAME}}",
    "secrets={a-b: '${secret:A}'}": "'a-b' is not a name for a secret",
    "secrets.A=c4n4ry": "a reference to a secret, as ${secret:NAME}: the configuration must not contain the",
    "secrets.A=${secret:a b}": "secrets.A\n  a reference to a secret",
    "secrets.A=${secret:c4n4ry}": "secrets.A\n  a reference to a secret",
    "secrets.A=${secret:${c4n4ry": "secrets.A\n  a reference to a secret",
    "env.A=${secret:B}": "env.A = ${secret:B}\n  a value without secrets",
    "env.A=${secrets.OPENAI_API_KEY}": "a value without secrets",
    "ports.lab=${secret:B}": "a value without secrets",
    "ports=8888": "a section with the keys lab, ollama",
    "ports=[1]": "a section with the keys lab, ollama",
    "stack=mine": "cannot be set: it follows from --env, --cloud or this machine",
    "host.uid=5": "cannot be set",
    "env.A=[": "not valid YAML",
    'env.A="\\UFFFFFFFF"': "not valid YAML",
    'env.A="\\ud800"': "contains a character that is not allowed in files",
    'env.A="\\0"': "contains a character that is not allowed in files",
    "env.A=" + "[" * 1000: "nested too deep",
    "env.A=${": "write ${section.key} or ${oc.env:NAME,default}, and \\${ for a literal ${",
    "env.A=${a b}": "write ${section.key}",
    "env.A=${HOME}": "refers to unknown key HOME; an environment variable is ${oc.env:HOME}",
    "env.A=${project.nam}": "refers to unknown key project.nam; did you mean project.name?",
    "env.A=${env.A}": "refers to itself",
    "env.A=${env}": "env.A = ${env}\n  refers to itself",
    "env.A=${ports}": "env.A = ${ports}\n  a single value, not a map",
    "env.A=${models}": "env.A = ${models}\n  a single value, not a list",
    "env.A=x${ports}": "env.A = x${ports}\n  cannot insert ports into a string: it has more than one value",
    "env.A=${......B}": "cannot be resolved: write",
    "env.A=x${..models}": "cannot insert ..models into a string",
    "env.A=${ports.lab.x}": "env.A = ${ports.lab.x}\n  cannot be resolved: write",
    "env.A=${oc.dict.values:secrets}": "env.A = ${oc.dict.values:secrets}\n  write ${section.key}",
    "secrets.A=${ports}": "secrets.A\n  a single value, not a map",
    "labels=${compute}": "labels.replicas\n  a single value, not a map",
    "ports.lab=${ports}": "ports.lab = ${ports}\n  ",
    "env.A=${missing:1}": "write ${section.key}",
    "ports.lab=${project.name}": "ports.lab = ${project.name}\n  not a whole number",
    "ports=${network}": "ports.bind_address\n  no such key in ports",
    "ollama.mode=external": "external requires ollama.url, the URL of the server",
    "ollama.url=ftp://x": "is not an http or https URL",
    "ports.ollama=8888": "a port other than ports.lab",
    "secrets.JUPYTER_TOKEN=${secret:A}": "another name: the stack sets JUPYTER_TOKEN itself",
    "env.BASH_ENV=/home/devai/work/evil.sh": "another name: it changes bash or the dynamic loader before",
    "env.ENV=x": "set ENV in the lab, for the program that needs it",
    "env.BASH_FUNC_id=x": "it changes bash or the dynamic loader",
    "env.LD_LIBRARY_PATH=/x": "it changes bash or the dynamic loader",
    "env.GLIBC_TUNABLES=x": "it changes bash or the dynamic loader",
    "env.UID=5": "or is read-only in bash",
    "secrets.LD_PRELOAD=${secret:A}": "set LD_PRELOAD in the lab, for the program that needs it",
    "secrets.PS4=${secret:A}": "it changes bash or the dynamic loader",
    "env.DEVAI_ENV_PATH=x": "the stack sets DEVAI_ENV_PATH itself",
    "env.JUPYTER_ALLOWED_HOSTS=x": "the stack sets JUPYTER_ALLOWED_HOSTS itself",
    "network.allowed_hosts=[Lab]": "'Lab' is not a lower-case host name, such as lab.example.com",
    "network.allowed_hosts=[a b]": "'a b' is not a lower-case host name",
    "secrets.DEVAI_STACK=${secret:A}": "env.DEVAI_STACK = ${stack}\n  another name: secrets has the same one",
}


@pytest.mark.parametrize("override", BAD_FLAGS, ids=lambda override: override[:40])
def test_invalid_value_is_refused_with_its_flag_and_the_allowed_values(shipped: Project, override: str) -> None:
    message = refused(shipped, override)
    assert BAD_FLAGS[override] in message
    name = override.partition("=")[0]
    hidden = name.startswith("secrets") and not override.endswith("=${secret:A}")
    location = f"--set {name}=***" if hidden else f"--set {override}"[:200]
    assert message.startswith(location) or override.startswith("secrets.DEVAI_STACK")
    assert "c4n4ry" not in message
    assert message.endswith("Nothing was changed.")


@pytest.mark.parametrize(
    ("text", "location", "expected"),
    [
        ("", "conf/personal.yaml:1:1  ", "is empty"),
        ("just text", "conf/personal.yaml:1:1", "not a mapping"),
        ("ports: {lab: 1\n", "conf/personal.yaml:2:1", "not valid YAML"),
        ("ports: {lab: 1}\nports: {lab: 2}\n", "conf/personal.yaml:2:1", "duplicate key"),
        ("ports:\n  lab: many\n", "conf/personal.yaml:2:8", "not a whole number"),
        ("ports:\n  labb: 1\n", "conf/personal.yaml:2:3", "did you mean lab?"),
        ("models:\n  - ok\n  - [a]\n", "conf/personal.yaml:1:1", "a list of strings"),
        ("models:\n  - ok\n  - ${missing}\n", "conf/personal.yaml:3:5", "refers to unknown key missing"),
        ("ports: 5\n", "conf/personal.yaml:1:8", "a section with the keys lab, ollama"),
        ("ports:\n", "conf/personal.yaml:1:1", "a section with the keys lab, ollama"),
        ("env: {A: !x b}\n", "conf/personal.yaml:1:10", "YAML tags are not supported"),
        ("env: {A: '${'}\n", "conf/personal.yaml:1:10", "write ${section.key}"),
        ("project:\n  name:\n", "conf/personal.yaml:2:3", "has no value"),
    ],
)
def test_invalid_file_is_refused_with_line_and_column(
    project: Project, text: str, location: str, expected: str
) -> None:
    (project.conf / "personal.yaml").write_text(text, encoding="utf-8")
    message = refused(project)
    assert message.startswith(location)
    assert expected in message


def test_overridden_value_of_a_secret_is_refused(shipped: Project) -> None:
    message = refused(shipped, "secrets.A=${secret:A}", DEVAI__SECRETS__A="c4n4ry")
    assert message.startswith("DEVAI__SECRETS__A  secrets.A\n  a reference to a secret")
    assert "c4n4ry" not in message


def test_invalid_value_in_a_variable_is_refused_with_its_name(shipped: Project) -> None:
    assert refused(shipped, DEVAI__PORTS__LAB="many").startswith("DEVAI__PORTS__LAB  ports.lab = many\n")
    assert refused(shipped, DEVAI__PORTS__LABB="1").startswith("DEVAI__PORTS__LABB  ports.labb")
    assert refused(shipped, DEVAI__="1").startswith("DEVAI__  ")


def test_protected_stack_must_not_be_open_to_all_networks(shipped: Project) -> None:
    message = refused(shipped, "network.bind_address=0.0.0.0", stack=LOCAL_PROD)
    assert "--set network.bind_address=0.0.0.0  network.bind_address = 0.0.0.0" in message
    assert dev(shipped, "network.bind_address=0.0.0.0", "tls.local=true").network.bind_address == "0.0.0.0"


def test_only_shared_files_can_protect_a_stack(shipped: Project) -> None:
    for message in (refused(shipped, "protected=false", stack=LOCAL_PROD), refused(shipped, DEVAI__PROTECTED="true")):
        assert "cannot be set here, only in: common, clouds, profiles, stacks" in message


def test_all_problems_of_all_layers_are_reported_at_once(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("ports: {lab: many}\nimage: {packages: all}\n", encoding="utf-8")
    message = refused(project, "ollama.mode=none", "resources.lab.cpu=0", DEVAI__GPU__ENABLED="maybe")
    for location in (
        "conf/personal.yaml:1:14",
        "conf/personal.yaml:2:19",
        "--set ollama.mode=none",
        "--set resources.lab.cpu=0",
        "DEVAI__GPU__ENABLED",
    ):
        assert location in message
    assert message.endswith("\n5 errors. Nothing was changed.")


def test_violated_rules_are_reported_with_invalid_values(shipped: Project) -> None:
    message = refused(shipped, "network.allowed_cidrs=[0.0.0.0/0]", "ports.lab=many", stack=Stack("prod", "aws"))
    assert "a protected stack must not be open to all networks" in message
    assert message.endswith("\n2 errors. Nothing was changed.")


@pytest.mark.parametrize(("cloud", "platform"), [("local", "kubernetes"), ("aws", "kubernetes"), ("gcp", "simple")])
def test_rules_skip_values_that_cannot_be_read(shipped: Project, cloud: str, platform: str) -> None:
    sources, stack = Sources(shipped, {}), Stack("prod", cloud)
    small = ["resources.lab.cpu=1", "resources.ollama.cpu=1"]  # valid in the managed containers of every cloud
    small += ["resources.lab.memory=2Gi", "resources.ollama.memory=2Gi"]
    for key, entry in reader.leaves(Settings).items():
        if not entry.meta.layers and key != ("secrets",):
            platforms = [] if key == ("compute", "platform") else [f"compute.platform={platform}"]
            with pytest.raises(ConfigError) as refusal:
                sources.configuration(stack, [*small, *platforms, f"{dotted(key)}=${{missing}}"])
            assert {problem.allowed for problem in refusal.value.problems} == {"refers to unknown key missing"}, key


def test_without_deployment_code_only_the_rules_of_all_stacks_apply(shipped: Project) -> None:
    sources, stack = loading.Sources(shipped, {}), Stack("dev", "aws")
    configuration = sources.configuration(stack, ["terraform.region="])  # required by the rules of AWS
    assert configuration.pending == ()
    assert configuration.affected(("ports", "lab")) == frozenset()
    with pytest.raises(ConfigError, match=r"a port other than ports\.lab"):
        sources.configuration(stack, ["ports.ollama=${ports.lab}"])


def test_files_that_cannot_be_read_do_not_hide_each_other(project: Project) -> None:
    for name in ("common/ports.yaml", "profiles/dev.yaml"):
        (project.conf / name).write_bytes(b"\xff\xfe\x00")
    message = refused(project, "no-override")
    for location in ("conf/common/ports.yaml", "conf/profiles/dev.yaml", "--set no-override"):
        assert location in message


def test_missing_key_is_reported_with_the_file_for_it(project: Project) -> None:
    (project.conf / "common" / "network.yaml").write_text("network: {base_url: /}\n", encoding="utf-8")
    assert "network.bind_address\n  has no value: set one in conf/common/network.yaml" in refused(project)
    (project.conf / "common" / "network.yaml").unlink()
    assert refused(project).startswith("conf/common/network.yaml:1:1  network.bind_address\n  has no value")


def test_invalid_element_of_a_referenced_list_is_not_quoted(shipped: Project) -> None:
    message = refused(shipped, "models=${network.load_balancers}", "network.load_balancers=['${secret:A}']")
    assert "--set models=${network.load_balancers}  models.0\n  a value without secrets" in message


@pytest.mark.parametrize("override", ["env.A=${missing}", "gpu=${missing}", "models=[a, '${missing}']"])
def test_reference_to_an_unknown_key_is_one_problem(shipped: Project, override: str) -> None:
    message = refused(shipped, override)
    assert "refers to unknown key missing" in message
    assert message.endswith("\n1 error. Nothing was changed.")


def test_valid_override_fixes_the_problem_of_a_weaker_layer(project: Project) -> None:
    (project.conf / "personal.yaml").write_text("ports: {lab: many}\n", encoding="utf-8")
    assert dev(project, "ports.lab=9000").ports.lab == 9000


@pytest.mark.parametrize("written", ["null", "~", ""])
def test_null_removes_the_value_of_an_optional_key(project: Project, written: str) -> None:
    (project.conf / "personal.yaml").write_text(f"ports: {{lab: 8888, ollama: {written}}}\n", encoding="utf-8")
    assert dev(project).ports.ollama is None
    assert dev(project, "ports.ollama=9999").ports.ollama == 9999
    assert dev(project, "ports.ollama=null").ports.ollama is None


def test_null_is_invalid_for_a_required_key(shipped: Project) -> None:
    assert "ports.lab = null\n  not a whole number" in refused(shipped, "ports.lab=null")


def test_schema_defaults_can_be_referenced(shipped: Project) -> None:
    assert dev(shipped, "env.GPUS=${gpu.count}").env["GPUS"] == "all"


def test_loading_writes_nothing(project: Project) -> None:
    def files() -> list[Path]:
        return sorted(project.root.rglob("*"))

    before = files()
    dev(project)
    assert files() == before


def test_overrides_are_in_the_flags_of_a_stack_but_not_in_its_identity(project: Project) -> None:
    settings = load(project, LOCAL_DEV, ["ports.lab=9777", "env.A=b c"], gpu=True, environ={})
    assert settings.stack.flags == "--env=dev --cloud=local --gpu --set=ports.lab=9777 '--set=env.A=b c'"
    assert settings.stack == LOCAL_DEV
    assert {settings.stack: 1}[LOCAL_DEV] == 1
    assert str(settings.stack) == "local-dev"

"""Layers: precedence of the sources of values, and the keys that each source may set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness.settings import Sources, load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError, UsageError

LOCAL_PROD = Stack("prod", "local")

# Files that may set `gpu.count`, weakest first. Its default is in the schema.
FILES = [
    "conf/common/gpu.yaml",
    "conf/clouds/local.yaml",
    "conf/profiles/dev.yaml",
    "conf/stacks/local-dev.yaml",
    "conf/personal.yaml",
]


def put(project: Project, name: str, text: str) -> None:
    file = project.root / name
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def dev(project: Project, local_dev: Stack) -> Callable[..., Settings]:
    """Return a function that loads the settings of local-dev with overrides and environment variables."""

    def load_dev(*overrides: str, **variables: str) -> Settings:
        return load(project, local_dev, overrides, environ=variables)

    return load_dev


def test_each_layer_overrides_all_weaker_layers(project: Project, dev: Callable[..., Settings]) -> None:
    assert dev().gpu.count == "all"
    for count, name in enumerate(FILES, start=1):
        file = project.root / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        put(project, name, f"{text}\ngpu: {{count: {count}}}\n")
        assert dev().gpu.count == str(count)
    assert dev(DEVAI__GPU__COUNT="6").gpu.count == "6"
    assert dev("gpu.count=7", DEVAI__GPU__COUNT="6").gpu.count == "7"
    assert dev("gpu.count=7", "gpu.count=8").gpu.count == "8"


def test_file_of_a_stack_does_not_affect_other_stacks(project: Project, dev: Callable[..., Settings]) -> None:
    put(project, "conf/stacks/local-staging.yaml", "gpu: {count: 4}\n")
    assert dev().gpu.count == "all"


def test_personal_configuration_applies_only_to_unprotected_stacks(
    project: Project, dev: Callable[..., Settings]
) -> None:
    put(project, "conf/personal.yaml", "ports: {lab: 9000}\n")
    assert dev().ports.lab == 9000
    assert load(project, LOCAL_PROD, environ={}).ports.lab == 8890


def test_personal_configuration_cannot_disable_protection(project: Project) -> None:
    put(project, "conf/personal.yaml", "protected: false\n")
    assert load(project, LOCAL_PROD, environ={}).protected


def test_stack_protected_by_its_own_file_ignores_personal_configuration(
    project: Project, dev: Callable[..., Settings]
) -> None:
    put(project, "conf/personal.yaml", "ports: {lab: 9000}\n")
    put(project, "conf/stacks/local-dev.yaml", "protected: true\n")
    assert dev().ports.lab == 8888


def test_layer_changes_only_the_keys_that_it_sets(dev: Callable[..., Settings]) -> None:
    before, after = dev(), dev("resources.lab.cpu=1")
    assert after.resources.lab.cpu.millicores == 1000
    assert after.resources.lab.memory == before.resources.lab.memory
    assert after.resources.ollama == before.resources.ollama


def test_lists_replace_and_maps_merge(dev: Callable[..., Settings]) -> None:
    settings = dev("models=[one, two]", "env={ADDED: text}")
    assert settings.models == ("one", "two")
    assert settings.env == {"DEVAI_STACK": "local-dev", "ADDED": "text"}


def test_map_override_is_merged_with_other_overrides(dev: Callable[..., Settings]) -> None:
    settings = dev("ports.lab=9000", "ports={ollama: 9001}", "env={A: 1, B: 1}", "env.A=2", "env={B: 3}", "env={}")
    assert (settings.ports.lab, settings.ports.ollama) == (9000, 9001)
    assert settings.env == {"DEVAI_STACK": "local-dev", "A": "2", "B": "3"}
    settings = dev("env={FLAG: text}", DEVAI__ENV="{A: 1}", DEVAI__ENV__B="2")
    assert settings.env == {"DEVAI_STACK": "local-dev", "A": "1", "B": "2", "FLAG": "text"}


def test_each_key_of_a_map_has_the_location_of_its_effective_override(shipped: Project, local_dev: Stack) -> None:
    overrides = ["ports.lab=1", "ports={lab: 2}", "ports.ollama=3"]
    *_, flags = Sources(shipped, {}).configuration(local_dev, overrides).layers
    assert flags.tree == {"ports": {"lab": "2", "ollama": "3"}}
    assert flags.location(("ports", "lab")) == "--set ports={lab: 2}"
    assert flags.location(("ports", "ollama")) == "--set ports.ollama=3"


def test_gpu_flag_equals_its_key(project: Project, local_dev: Stack) -> None:
    assert load(project, local_dev, gpu=True, environ={}) == load(
        project, local_dev, ["gpu.enabled=true"], environ={"DEVAI__GPU__ENABLED": "false"}
    )


def test_variables_are_upper_case_keys_and_map_names_keep_their_case(dev: Callable[..., Settings]) -> None:
    settings = dev(
        DEVAI__RESOURCES__LAB__MEMORY="1Gi", DEVAI__ENV__Mixed_Case="text", DEVAI__MODELS="[a, b]", DEVAI_ELSE="no",
        DEVAI__TERRAFORM__SECRET_VERSIONS__OPENAI_API_KEY="3", DEVAI__LABELS__Team="b", DEVAI__ENV__MY__VAR="1",
    )  # fmt: skip
    assert settings.resources.lab.memory.bytes == 2**30
    assert settings.env["Mixed_Case"] == "text"
    assert settings.env["MY__VAR"] == "1"
    assert settings.models == ("a", "b")
    assert settings.terraform.secret_versions == {"OPENAI_API_KEY": 3}
    assert settings.labels["Team"] == "b"


@pytest.mark.parametrize("text", ["1.10", "0123", "12:30", "on", "no", "1e3", "1_000", "true", "007"])
def test_strings_stay_as_written_in_every_source(project: Project, dev: Callable[..., Settings], text: str) -> None:
    put(project, "conf/personal.yaml", f"env: {{FILE: {text}, QUOTED: '{text}'}}\n")
    settings = dev(f"env={{MAP: {text}}}", f"env.FLAG={text}", f'env.FLAG_QUOTED="{text}"', DEVAI__ENV__VARIABLE=text)
    assert {name: value for name, value in settings.env.items() if name != "DEVAI_STACK"} == dict.fromkeys(
        ["FILE", "QUOTED", "FLAG", "FLAG_QUOTED", "MAP", "VARIABLE"], text
    )


def test_quoted_tilde_is_a_string_and_plain_tilde_is_no_value(project: Project, dev: Callable[..., Settings]) -> None:
    put(project, "conf/personal.yaml", "env:\n  QUOTED: '~'\n")
    assert dev("env.FLAG=~", DEVAI__ENV__VARIABLE="~").env["QUOTED"] == "~"
    assert dev("env.FLAG=~").env["FLAG"] == "~"
    put(project, "conf/personal.yaml", "env:\n  PLAIN: ~\n")
    with pytest.raises(ConfigError, match=r"conf/personal\.yaml:2:10  env\.PLAIN\n  has no value"):
        dev()


@pytest.mark.parametrize("override", ["ports.lab", "", "=9000", ".=9000", "ports.=9000", ".lab=9000", "ports..lab=1"])
def test_invalid_override_is_refused_and_quoted(dev: Callable[..., Settings], override: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        dev(override)
    assert str(refusal.value).startswith(f"--set {override}  not an override\n  write --set section.key=value")


def test_value_may_contain_equals_signs(dev: Callable[..., Settings]) -> None:
    assert dev("env.A=b=c=").env["A"] == "b=c="


def test_file_in_conf_common_may_set_only_its_own_section(project: Project, dev: Callable[..., Settings]) -> None:
    put(project, "conf/common/ports.yaml", "ports: {lab: 8888, ollama: 11434}\nnetwork: {base_url: /}\n")
    with pytest.raises(
        ConfigError, match=r"common/ports\.yaml:2:1  network\n  must be set in conf/common/network\.yaml"
    ):
        dev()


def test_layer_has_the_locations_of_its_values(shipped: Project, local_dev: Stack) -> None:
    sources = Sources(shipped, {"DEVAI__PORTS__LAB": "2"})
    *_, variables, flags = sources.configuration(local_dev, ["ports.lab=1"], gpu=True).layers
    assert variables.location(("ports", "lab")) == "DEVAI__PORTS__LAB"
    assert flags.location(("ports", "lab")) == "--set ports.lab=1"
    assert flags.location(("gpu", "enabled")) == "--gpu"
    assert flags.location(("models",)) == "command line"


@pytest.mark.parametrize("inside", ["", "conf", "deploy/compose"])
def test_project_is_found_from_any_of_its_folders(shipped: Project, inside: str) -> None:
    assert Project.find(shipped.root / inside) == Project(shipped.root.resolve())


def test_error_outside_a_project_has_the_command_that_creates_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`devai new DIR` creates one"):
        Project.find(tmp_path)


@pytest.mark.parametrize(
    ("environment", "cloud", "message"),
    [
        ("prdo", "local", "unknown environment 'prdo'; did you mean prod?"),
        ("dev", "lokal", "unknown cloud 'lokal'; did you mean local?"),
        ("../profiles/dev", "local", "unknown environment"),
        ("", "local", "defaults.env has no value"),
    ],
)
def test_unknown_stack_is_refused_with_the_nearest_name(
    shipped: Project, environment: str, cloud: str, message: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        shipped.stack(environment, cloud)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["QA", "a_b", "a.b", "-a", "ä"])
def test_stack_name_that_is_invalid_for_containers_is_refused(project: Project, name: str) -> None:
    put(project, f"conf/profiles/{name}.yaml", "protected: false\n")
    with pytest.raises(UsageError, match=rf"^conf/profiles/{name}\.yaml:1:1  {name}\n  a name of up to 30 lower-case"):
        project.stack(name, "local")


def test_file_in_conf_profiles_is_an_environment(project: Project) -> None:
    put(project, "conf/profiles/trial.yaml", "protected: false\n")
    stack = project.stack("trial", "local")
    assert load(project, stack, environ={}).env["DEVAI_STACK"] == "local-trial"


def test_name_conflict_between_two_stacks_is_refused_for_both(project: Project) -> None:
    put(project, "conf/clouds/aws-eu.yaml", (project.conf / "clouds/aws.yaml").read_text(encoding="utf-8"))
    put(project, "conf/profiles/eu-dev.yaml", "ports: {lab: 9000}\n")
    files = "conf/clouds/{}.yaml with conf/profiles/{}.yaml"
    pairs = f"{files.format('aws', 'eu-dev')}, and {files.format('aws-eu', 'dev')}"
    for stack in (Stack("eu-dev", "aws"), Stack("dev", "aws-eu")):
        with pytest.raises(ConfigError) as refusal:
            load(project, stack, environ={})
        assert str(refusal.value).splitlines()[:2] == [
            "conf/clouds/aws.yaml:1:1  aws-eu-dev",
            f"  a unique name: {pairs} have the same; rename one of these files",
        ]
    assert load(project, Stack("eu-dev", "aws-eu"), environ={}).ports.lab == 9000

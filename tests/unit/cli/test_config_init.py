"""`config.init`: questions, suggested answers, and written files."""

from __future__ import annotations

import io
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
import yaml

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]


def type_answers(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Fake a terminal at which these lines are typed."""
    stream = io.StringIO("".join(f"{line}\n" for line in lines))
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stream)


def test_profile_is_created_from_answers(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    type_answers(monkeypatch, "", "many", "4", "8Gi", "demo.lab.test.dev", "[198.18.0.0/15]")
    result = devai("config.init", "--profile=demo")
    assert result.returncode == 0, result.stderr
    assert "cores for the lab [2]:" in result.stderr
    assert "not a number of cores" in result.stderr
    assert yaml.safe_load((project.conf / "profiles/demo.yaml").read_bytes()) == {
        "protected": False,
        "resources": {"lab": {"cpu": 4, "memory": "8Gi"}},
        "ingress": {"host": "demo.lab.test.dev"},
        "network": {"allowed_cidrs": ["198.18.0.0/15"]},
    }
    for cloud in ("local", "aws", "azure", "gcp"):
        assert devai("config.render", "--env=demo", f"--cloud={cloud}").returncode == 0


def test_suggested_answers_are_the_values_of_a_new_profile(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.conf / "common/defaults.yaml").write_text("defaults: {env: prod, cloud: aws}\n", encoding="utf-8")
    type_answers(monkeypatch, "", "", "", "", "")
    asked = devai("config.init", "--profile=demo").stderr
    for key, value in {
        "protected": "false",
        "resources.lab.memory": "4Gi",
        "ingress.host": "demo.lab.example.com",
    }.items():
        assert f"[{value}]:" in asked
        assert devai("config.show", f"--key={key}", "--env=demo", "--cloud=local").stdout == f"{value}\n"


def test_answers_are_written_to_personal_yaml(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    type_answers(monkeypatch, "stagin", "staging", "", "9000", "", "")
    result = devai("config.init")
    assert "one of: dev, prod, staging; to add one, create a file in conf/profiles/" in result.stderr
    assert yaml.safe_load((project.conf / "personal.yaml").read_bytes()) == {
        "defaults": {"env": "staging"},
        "ports": {"lab": 9000},
    }
    assert devai("config.show", "--key=env.DEVAI_STACK").stdout == "local-staging\n"


def test_default_stack_that_is_protected_is_reported_to_ignore_personal_yaml(
    devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_answers(monkeypatch, "prod", "", "9000", "", "")
    message = "local-prod is protected: it ignores all of conf/personal.yaml except defaults"
    assert message in devai("config.init").stderr


def test_answer_is_validated_for_every_stack_that_it_affects(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default stack is protected, so it does not read personal.yaml.
    type_answers(monkeypatch, "prod", "aws", "abc", "11434", "9000", "", "")
    result = devai("config.init")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("not a whole number") == 1
    assert "a port other than ports.lab" in result.stderr
    assert yaml.safe_load((project.conf / "personal.yaml").read_bytes())["ports"] == {"lab": 9000}
    assert devai("config.check").returncode == 0


def test_profile_is_validated_for_every_cloud(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    type_answers(monkeypatch, "true", "", "", "", "[0.0.0.0/0]", "[10.0.0.0/8]", "")
    result = devai("config.init", "--profile=demo")
    assert result.returncode == 0, result.stderr
    assert "your networks: a protected stack must not be open to all networks" in result.stderr
    assert "public networks: 10.0.0.0/8 is private, and cannot connect" in result.stderr
    assert yaml.safe_load((project.conf / "profiles/demo.yaml").read_bytes()) == {"protected": True}
    assert devai("config.show", "--env=demo", "--cloud=aws").returncode == 0


def test_invalid_stack_of_a_new_profile_is_reported(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    type_answers(monkeypatch, "true", "", "", "", "")
    result = devai("config.init", "--profile=demo")
    assert "azure-demo is not valid yet\n" in result.stderr
    assert "a certificate in your Key Vault: Azure issues none" in result.stderr
    assert result.stderr.count("is not valid yet") == 1
    refused = devai("config.show", "--env=demo", "--cloud=azure")
    assert (refused.returncode, refused.stderr.count("Key Vault")) == (2, 1)


def test_suggested_answers_write_no_file(project: Project, devai: Run) -> None:
    assert devai("config.init", "--yes").stderr == "nothing to change in conf/personal.yaml\n"
    assert not (project.conf / "personal.yaml").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no terminal to ask; `--yes` accepts all suggested answers"),
        (["--profile=prod"], "conf/profiles/prod.yaml exists; `inv config.set --env=prod --set section.key=value`"),
        (["--profile=../x"], "--profile=../x: a name of up to 30 lower-case letters, digits and hyphens"),
    ],
)
def test_config_init_is_refused_with_the_reason(devai: Run, flags: list[str], message: str) -> None:
    result = devai("config.init", *flags)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(message)

"""`config.init`: what is asked, what is offered, and what is written."""

from __future__ import annotations

import io
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
import yaml

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]


def answers(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Somebody at the terminal who types these."""
    stream = io.StringIO("".join(f"{line}\n" for line in lines))
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stream)


def test_a_profile_is_made_of_a_few_answers(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "", "many", "4", "8Gi", "demo.lab.test.dev", "[198.18.0.0/15]")
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


def test_a_profile_is_offered_what_it_has_without_an_answer(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.conf / "common/defaults.yaml").write_text("defaults: {env: prod, cloud: aws}\n", encoding="utf-8")
    answers(monkeypatch, "", "", "", "", "")
    asked = devai("config.init", "--profile=demo").stderr
    for key, value in {
        "protected": "false",
        "resources.lab.memory": "4Gi",
        "ingress.host": "demo.lab.example.com",
    }.items():
        assert f"[{value}]:" in asked
        assert devai("config.show", f"--key={key}", "--env=demo", "--cloud=local").stdout == f"{value}\n"


def test_ones_own_requirements_are_asked_for(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "stagin", "staging", "", "9000", "", "")
    result = devai("config.init")
    assert "one of: dev, prod, staging; to add one, create a file in conf/profiles/" in result.stderr
    assert yaml.safe_load((project.conf / "personal.yaml").read_bytes()) == {
        "defaults": {"env": "staging"},
        "ports": {"lab": 9000},
    }
    assert devai("config.show", "--key=env.DEVAI_STACK").stdout == "local-staging\n"


def test_who_means_a_protected_stack_is_told_what_it_does_not_read(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "prod", "", "9000", "", "")
    said = "local-prod is protected: it ignores all of conf/personal.yaml except defaults"
    assert said in devai("config.init").stderr


def test_an_answer_is_tried_on_every_stack_that_has_it(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stack that is meant is protected, and has nobody's requirements.
    answers(monkeypatch, "prod", "aws", "abc", "11434", "9000", "", "")
    result = devai("config.init")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("not a whole number") == 1
    assert "a port other than ports.lab" in result.stderr
    assert yaml.safe_load((project.conf / "personal.yaml").read_bytes())["ports"] == {"lab": 9000}
    assert devai("config.check").returncode == 0


def test_a_profile_is_tried_on_every_cloud(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "true", "", "", "", "[0.0.0.0/0]", "[10.0.0.0/8]", "")
    result = devai("config.init", "--profile=demo")
    assert result.returncode == 0, result.stderr
    assert "your networks: a protected stack must not be open to all networks" in result.stderr
    assert "public networks: 10.0.0.0/8 is private, and cannot connect" in result.stderr
    assert yaml.safe_load((project.conf / "profiles/demo.yaml").read_bytes()) == {"protected": True}
    assert devai("config.show", "--env=demo", "--cloud=aws").returncode == 0


def test_what_a_new_environment_lacks_elsewhere_is_said(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "true", "", "", "", "")
    result = devai("config.init", "--profile=demo")
    assert "azure-demo is not valid yet\n" in result.stderr
    assert "a certificate in your Key Vault: Azure issues none" in result.stderr
    assert result.stderr.count("is not valid yet") == 1
    refused = devai("config.show", "--env=demo", "--cloud=azure")
    assert (refused.returncode, refused.stderr.count("Key Vault")) == (2, 1)


def test_answers_that_change_nothing_write_nothing(project: Project, devai: Run) -> None:
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
def test_what_can_not_be_made_is_said(devai: Run, flags: list[str], message: str) -> None:
    result = devai("config.init", *flags)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(message)

"""`config.*` on the command line: output and written files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]
MINIMAL = "  one of minimal, standard, full; did you mean minimal?"


def put(project: Project, name: str, text: str) -> None:
    file = project.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def text(project: Project, name: str) -> str:
    return (project.root / name).read_text(encoding="utf-8")


# explain, diff


def test_explain_shows_origin_references_and_affected_files(devai: Run) -> None:
    result = devai("config.explain", "--key=ollama.image")
    assert result.stdout.splitlines() == [
        "ollama.image = ollama/ollama:0.35.1",
        "  set in     conf/common/ollama.yaml:6:10   ollama/ollama:${ollama.version}",
        "  refers to  ollama.version = 0.35.1   conf/common/ollama.yaml:5:12   0.35.1",
        "  affects    generated/local-dev/compose/.env",
        "  affects    generated/local-dev/kubernetes/kustomization.yaml",
        "  affects    generated/local-dev/kubernetes/models.yaml",
    ]


def test_explain_shows_overridden_values_and_decisions_of_tasks(devai: Run) -> None:
    lines = devai("config.explain", "--key=protected", "--env=prod").stdout.splitlines()
    assert lines[:3] == [
        "protected = true",
        "  set in     conf/profiles/prod.yaml:2:12   true",
        "  overrides  schema (default)   false",
    ]
    assert lines[3].startswith("  decides    what tasks ask for confirmation")
    assert "nothing in this stack" in devai("config.explain", "--key=dns.zone").stdout


def test_explain_prints_the_same_as_json(devai: Run) -> None:
    (explained,) = json.loads(devai("config.explain", "--key=ports.lab", "--set=ports.lab=9000", "--json").stdout)
    assert explained["value"] == "9000"
    assert [origin["place"] for origin in explained["origins"]] == [
        "--set ports.lab=9000",
        "conf/common/ports.yaml:3:8",
    ]
    assert explained["reaches"] == {"compose": [".env"], "kubernetes": ["lab.yaml"]}


def test_diff_compares_two_stacks(devai: Run) -> None:
    lines = devai("config.diff", "--env=dev", "--against=prod").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["protected"] == ["false", "true", "conf/profiles/prod.yaml:2:12"]
    assert rows["resources.lab.memory"] == ["4Gi", "8Gi", "conf/profiles/prod.yaml:5:13"]
    assert "resources.lab.cpu" not in rows
    rows_as_json = json.loads(devai("config.diff", "--against=aws-dev", "--json").stdout)
    assert {"key": "compute.provider", "local-dev": "local", "aws-dev": "aws"} in rows_as_json


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--against is missing; name the stack to compare with"),
        (["--against=prdo"], "--against=prdo  unknown environment 'prdo'"),
    ],
)
def test_diff_needs_another_stack(devai: Run, flags: list[str], message: str) -> None:
    result = devai("config.diff", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith(message)


# check


def test_shipped_configuration_has_no_findings(devai: Run) -> None:
    result = devai("config.check")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "12 stacks are valid, no findings\n"
    assert devai("config.check", "--env=dev", "--cloud=aws").stderr == "1 stack is valid, no findings\n"
    assert devai("config.check", "--cloud=aws").stderr == "3 stacks are valid, no findings\n"


def test_unused_files_and_values_and_stale_artifacts_are_findings(project: Project, devai: Run) -> None:
    put(project, "conf/stacks/local-dev.yaml", "terraform: {region: eu-west-1}\n")
    put(project, "conf/stacks/aws-tset.yaml", "ports: {lab: 1}\n")
    put(project, "conf/profiles/other.yml", "ports: {lab: 1}\n")
    put(project, "conf/commn/ports.yaml", "ports: {lab: 1}\n")
    assert devai("config.render").returncode == 0
    put(project, "generated/local-dev/compose/.env", "edited\n")
    result = devai("config.check")
    assert result.returncode == 1
    assert result.stdout.splitlines()[::2] == [
        "conf/commn/ports.yaml  no stack loads this file",
        "conf/profiles/other.yml  no stack loads this file",
        "conf/stacks/aws-tset.yaml  no stack loads this file",
        "conf/stacks/local-dev.yaml:1:13  terraform.region",
        "generated/local-dev/compose/.env  is out of date",
    ]
    assert result.stdout.splitlines()[-1] == "  `inv config.render --env=dev --cloud=local` renders it again"
    findings = json.loads(devai("config.check", "--json").stdout)["findings"]
    assert [finding["place"] for finding in findings][:1] == ["conf/commn/ports.yaml"]


def test_value_that_every_stack_overrides_is_a_finding(project: Project, devai: Run) -> None:
    for environment in ("dev", "staging", "prod"):
        put(project, f"conf/profiles/{environment}.yaml", "ports: {lab: 9000, ollama: 9001}\n")
    result = devai("config.check")
    assert result.returncode == 1
    assert "conf/common/ports.yaml:3:3  ports.lab\n" in result.stdout


def test_errors_of_all_stacks_are_reported_together_without_repetition(project: Project, devai: Run) -> None:
    put(project, "conf/common/ports.yaml", "ports: {lab: many, ollama: 11434}\n")
    put(project, "conf/stacks/aws-prod.yaml", "network: {allowed_cidrs: [0.0.0.0/0]}\nimage: {packages: mini}\n")
    put(project, "conf/clouds/gcp.yaml", "compute: {provider: gpc}\n")
    result = devai("config.check")
    assert result.returncode == 2
    *problems, total = result.stderr.splitlines()
    hints = dict(zip(problems[::2], problems[1::2], strict=True))
    assert hints == {
        "conf/stacks/aws-prod.yaml:2:19  image.packages = mini": MINIMAL,
        "conf/stacks/aws-prod.yaml:1:26  network.allowed_cidrs": (
            "  your networks: a protected stack must not be open to all networks"
        ),
        "conf/common/ports.yaml:1:14  ports.lab = many": "  not a whole number",
        "conf/clouds/gcp.yaml:1:21  compute.provider = gpc": "  one of local, aws, azure, gcp, none; did you mean gcp?",
    }
    assert total == "4 errors. Nothing was changed."
    problems = json.loads(devai("config.check", "--json").stdout)["problems"]
    assert {problem["place"] for problem in problems} >= {"conf/common/ports.yaml:1:14"}


def test_personal_values_make_no_shared_value_a_finding(project: Project, devai: Run) -> None:
    put(project, "conf/personal.yaml", "compute: {platform: simple}\nollama: {mode: external, url: http://192.0.2.7}\n")
    assert devai("config.check").stderr == "12 stacks are valid, no findings\n"
    (project.conf / "personal.yaml").unlink()
    assert devai("config.check", "--set=compute.platform=simple", "--cloud=aws").returncode == 0


def test_missing_overlay_is_an_error(project: Project, devai: Run) -> None:
    put(project, "conf/stacks/aws-dev.yaml", "kubernetes: {overlay: prd}\n")
    result = devai("config.check")
    assert result.returncode == 2
    assert result.stderr.splitlines()[:2] == [
        "conf/stacks/aws-dev.yaml:1:23  kubernetes.overlay = prd",
        "  unknown overlay 'prd'; did you mean prod? (there are: dev, prod, staging)",
    ]


def test_key_that_only_the_gpu_uses_is_no_finding(devai: Run) -> None:
    assert devai("config.explain", "--key=image.gpu.cuda").stdout.splitlines()[-1].strip() == (
        "affects    nothing in this stack"
    )
    assert devai("config.check").returncode == 0


# render


def test_render_all_renders_all_stacks_or_those_of_one_cloud(project: Project, devai: Run) -> None:
    assert devai("config.render", "--all", "--cloud=gcp").returncode == 0
    assert sorted(path.name for path in (project.root / "generated").iterdir()) == [
        "gcp-dev",
        "gcp-prod",
        "gcp-staging",
    ]
    result = devai("config.render", "--all")
    assert result.stderr.count("rendered generated/") == 12
    assert "placeholder: image.digest is not known before `inv image.push` (aws-dev, " in result.stderr
    assert "rendered generated/gcp-dev/: nothing changed\n" in result.stderr


def test_existing_cluster_needs_one_file_and_has_no_findings(project: Project, devai: Run) -> None:
    put(project, "conf/clouds/own.yaml", "compute: {provider: none}\nkubernetes: {context: mine}\n")
    assert devai("config.render", "--cloud=own").returncode == 0
    rendered = project.root / "generated/own-dev"
    assert {path.name for path in rendered.iterdir() if path.name[0] != "."} == {"image", "kubernetes"}
    assert "namespace: devai-own-dev\n" in (rendered / "kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert devai("config.check").stderr == "15 stacks are valid, no findings\n"


def test_render_diff_shows_changes_and_writes_nothing(project: Project, devai: Run) -> None:
    result = devai("config.render", "--diff")
    assert result.returncode == 0
    assert "--- /dev/null\n+++ generated/local-dev/compose/.env\n" in result.stdout
    assert not (project.root / "generated").exists()
    devai("config.render")
    lines = devai("config.render", "--diff", "--set=ports.ollama=9000").stdout.splitlines()
    changed = ["-DEVAI_OLLAMA_PORT='11434'", "+DEVAI_OLLAMA_PORT='9000'"]
    assert [line for line in lines if line[0] in "+-"][2:] == changed
    assert devai("config.render", "--diff").stdout == ""


def test_render_check_fails_for_outdated_artifacts(project: Project, devai: Run) -> None:
    result = devai("config.render", "--check")
    assert result.returncode == 1
    assert "generated/local-dev/compose/.env is out of date\n" in result.stderr
    assert not (project.root / "generated").exists()
    devai("config.render")
    assert devai("config.render", "--check").returncode == 0


def test_render_prints_changes_of_each_artifact_as_json(devai: Run) -> None:
    devai("config.render")
    for flag, code in (("--diff", 0), ("--check", 1)):
        result = devai("config.render", flag, "--json", "--set=ports.ollama=9000")
        assert result.returncode == code
        (change,) = json.loads(result.stdout)
        assert change["artifact"] == "generated/local-dev/compose/.env"
        assert "+DEVAI_OLLAMA_PORT='9000'\n" in change["diff"]
    assert json.loads(devai("config.render", "--check", "--json").stdout) == []
    assert "--diff" in devai("config.render", "--json").stderr
    assert devai("config.render", "--check", "--set=ports.lab=9000").returncode == 1


def test_dry_run_writes_nothing(project: Project, devai: Run) -> None:
    assert devai("--dry", "config.render").stderr == "would render generated/local-dev/: 13 changed\n"
    devai("--dry", "config.set", "--set=ports.lab=9000")
    devai("--dry", "config.init", "--profile=demo", "--yes")
    assert not (project.root / "generated").exists()
    assert not (project.root / "conf/profiles/demo.yaml").exists()
    assert "lab: 8888" in text(project, "conf/common/ports.yaml")


def test_render_removes_a_target_that_the_stack_no_longer_has(project: Project, devai: Run) -> None:
    devai("config.render")
    put(project, "conf/clouds/local.yaml", "compute: {provider: none}\nkubernetes: {context: own}\n")
    assert devai("config.render").returncode == 0
    assert not (project.root / "generated/local-dev/compose").exists()
    assert devai("config.check", "--env=dev", "--cloud=local").returncode == 0


# set


def test_set_writes_the_file_of_the_flags_and_keeps_comments(project: Project, devai: Run) -> None:
    before = text(project, "conf/common/ollama.yaml")
    result = devai("config.set", "--set=ollama.keep_alive=1h")
    assert result.returncode == 0
    assert result.stderr == "wrote conf/common/ollama.yaml\n"
    assert "-  keep_alive: 5m\n+  keep_alive: 1h\n" in result.stdout
    assert text(project, "conf/common/ollama.yaml") == before.replace(" 5m", " 1h")
    for flags, name in (
        (["--env=prod"], "conf/profiles/prod.yaml"),
        (["--cloud=aws"], "conf/clouds/aws.yaml"),
        (["--env=prod", "--cloud=aws"], "conf/stacks/aws-prod.yaml"),
        (["--personal"], "conf/personal.yaml"),
    ):
        assert devai("config.set", *flags, "--set=ollama.keep_alive=2h").returncode == 0
        assert yaml.safe_load(text(project, name))["ollama"] == {"keep_alive": "2h"}
    assert devai("config.set", "--set=ollama.keep_alive=1h").stderr == "nothing to change in conf/common/ollama.yaml\n"


def test_set_keeps_links_and_line_endings(project: Project, devai: Run, tmp_path: Path) -> None:
    target = tmp_path / "personal.yaml"
    target.write_bytes(b"ports:\r\n  lab: 9000\r\n")
    link = project.conf / "personal.yaml"
    link.symlink_to(target)
    assert devai("config.set", "--personal", "--set=ports.lab=9001").returncode == 0
    assert link.readlink() == target
    assert target.read_bytes() == b"ports:\r\n  lab: 9001\r\n"


def test_set_quotes_strings_that_yaml_readers_may_convert(project: Project, devai: Run) -> None:
    devai("config.set", "--set=env.A=on", "--set=env.B=1.10", "--set=env.C=text", "--set=env.D=12:30")
    added = text(project, "conf/common/env.yaml").splitlines()[-4:]
    assert added == ['  A: "on"', '  B: "1.10"', "  C: text", '  D: "12:30"']
    assert devai("config.show", "--key=env.B").stdout == "1.10\n"


def test_set_accepts_lists_and_maps(project: Project, devai: Run) -> None:
    devai("config.set", "--env=prod", "--set=network.allowed_cidrs=[198.18.0.0/15]", "--set=labels={team: a, b: c}")
    assert yaml.safe_load(text(project, "conf/profiles/prod.yaml"))["network"] == {"allowed_cidrs": ["198.18.0.0/15"]}
    devai("config.set", "--env=prod", "--set=labels={team: d}")
    assert yaml.safe_load(text(project, "conf/profiles/prod.yaml"))["labels"] == {"team": "d", "b": "c"}
    assert devai("config.show", "--env=prod", "--key=labels.team").stdout == "d\n"


def test_set_accepts_a_map_and_its_keys_together(project: Project, devai: Run) -> None:
    assert devai("config.set", "--set=env.A=1", "--set=env={B: x, C: y}", "--set=env.B=z").returncode == 0
    assert yaml.safe_load(text(project, "conf/common/env.yaml"))["env"] == {
        "DEVAI_STACK": "${stack}", "A": 1, "B": "z", "C": "y",
    }  # fmt: skip


def test_set_keeps_the_notation_of_other_values(project: Project, devai: Run) -> None:
    env = "env:\n  DEBUG: True\n  PHONE: +49\n  BITS: 0x1F\n  DAY: 2026-01-01 10:00:00\n  Y: 'on'\n  True: 1_000\n"
    put(project, "conf/profiles/demo.yaml", f"{env}labels: {{1: .5, 01: -0}}\nports: ~\n")
    assert devai("config.set", "--env=demo", "--set=ports.lab=9000").returncode == 0
    assert text(project, "conf/profiles/demo.yaml") == f"{env}labels: {{1: .5, 01: -0}}\nports:\n  lab: 9000\n"


def test_set_adds_the_first_value_to_a_file_of_comments(project: Project, devai: Run) -> None:
    put(project, "conf/personal.yaml", "# Mine.\n")
    assert devai("config.set", "--personal", "--set=ports.lab=9000").returncode == 0
    assert text(project, "conf/personal.yaml") == "# Mine.\nports:\n  lab: 9000\n"


def test_set_refuses_a_file_that_is_not_utf_8(project: Project, devai: Run) -> None:
    (project.conf / "personal.yaml").write_bytes(b"env: {A: \xe9}\n")
    result = devai("config.set", "--personal", "--set=ports.lab=9000")
    assert result.returncode == 2
    assert result.stderr.startswith("conf/personal.yaml:1:1  cannot be read\n  'utf-8' codec can't decode byte 0xe9")


def test_set_refuses_a_value_that_an_alias_shares(project: Project, devai: Run) -> None:
    shared = "resources:\n  lab: &same {cpu: 2, memory: 4Gi}\n  ollama: *same\n"
    put(project, "conf/profiles/demo.yaml", shared)
    result = devai("config.set", "--env=demo", "--set=resources.lab.cpu=4")
    assert result.returncode == 2
    assert result.stderr.startswith("conf/profiles/demo.yaml:2:20  resources.ollama.cpu\n  would change, too")
    assert text(project, "conf/profiles/demo.yaml") == shared


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no key to set; --set section.key=value"),
        (["--set=ports.lab=many"], "conf/common/ports.yaml:3:8  ports.lab = many\n  not a whole number"),
        (["--set=ports.labb=1"], "conf/common/ports.yaml:5:3  ports.labb\n  no such key in ports; did you mean lab?"),
        (["--set=ports.lab"], "--set ports.lab  not an override"),
        (["--gpu", "--set=ports.lab=1"], "--gpu applies to one run only; `--set gpu.enabled=true` sets it permanently"),
        (
            ["--set=ports.lab=1", "--set=tls.enabled=true"],
            "the keys belong to several files of conf/common (ports, tls)",
        ),
        (["--env=prdo", "--set=ports.lab=1"], "--env=prdo  unknown environment 'prdo'; did you mean prod?"),
        (["--env=prod", "--set=network.bind_address=0.0.0.0"], "conf/profiles/prod.yaml:18:17  network.bind_address"),
        (["--personal", "--env=prod", "--set=ports.lab=1"], "--personal applies to all stacks"),
        (
            ["--personal", "--set=protected=true"],
            "conf/personal.yaml:1:1  protected\n  cannot be set here, only in: common, clouds, profiles, stacks",
        ),
        (
            ["--set=secrets.A=c4n4ry"],
            "conf/common/secrets.yaml:7:6  secrets.A\n  a reference to a secret, as ${secret:NAME}",
        ),
        (["--set=ports.lab.a=1"], "ports.lab.a: lab is a single value in this file, not a section"),
        (["--set=env.A=1", "--set=env=x"], "conf/common/env.yaml:2:6  env = x\n  a map of strings"),
        (["--set=defaults.env=nope"], "conf/common/defaults.yaml:3:8  unknown environment 'nope'"),
        (["--personal", "--set=defaults.cloud=awz"], "conf/personal.yaml:2:10  unknown cloud 'awz'; did you mean aws?"),
    ],
)
def test_set_refuses_an_invalid_change_and_writes_nothing(
    project: Project, devai: Run, flags: list[str], message: str
) -> None:
    before = {path: path.read_bytes() for path in project.conf.rglob("*.yaml")}
    result = devai("config.set", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith(message)
    assert "c4n4ry" not in result.stderr + result.stdout
    assert {path: path.read_bytes() for path in project.conf.rglob("*.yaml")} == before


def test_set_may_fix_one_of_several_errors_in_a_file(project: Project, devai: Run) -> None:
    put(project, "conf/common/ports.yaml", "ports: {lab: many, ollama: more}\n")
    assert devai("config.set", "--set=ports.lab=9000").returncode == 0
    assert text(project, "conf/common/ports.yaml") == "ports: {lab: 9000, ollama: more}\n"


def test_set_reports_stacks_in_which_a_later_layer_overrides_the_value(devai: Run) -> None:
    result = devai("config.set", "--set=ports.lab=9000")
    assert "local-prod still has ports.lab from conf/stacks/local-prod.yaml:3:8\n" in result.stderr


def test_set_keeps_the_mode_of_a_file(project: Project, devai: Run) -> None:
    (project.conf / "common/ports.yaml").chmod(0o640)
    devai("config.set", "--set=ports.lab=9000")
    assert (project.conf / "common/ports.yaml").stat().st_mode & 0o777 == 0o640


# schema


def test_schema_and_reference_of_the_repository_are_up_to_date(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Path(__file__).parents[3]
    monkeypatch.chdir(repository)
    result = devai("config.schema", "--check")
    assert (result.returncode, result.stderr) == (0, "")
    monkeypatch.chdir(project.root)
    assert json.loads(devai("config.schema", "--json").stdout) == json.loads(text(project, "conf/schema.json"))


def test_outdated_schema_is_reported_and_written(project: Project, devai: Run) -> None:
    put(project, "conf/schema.json", "{}\n")
    assert devai("config.schema", "--check").returncode == 1
    assert devai("--dry", "config.schema").stderr == "conf/schema.json: is out of date\n"
    assert devai("config.schema").stderr == "conf/schema.json: written\n"
    assert devai("config.schema", "--check").returncode == 0

"""State of a stack on this machine: private, created once, and written atomically."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.settings import Sources, load

from devai_tasks.config.layers import DEPLOYMENT_FILE
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError, DevaiError
from devai_tasks.workspace import runs, state, writer

DIGEST = f"sha256:{'1' * 64}"
IMAGE = {("image", "registry"), ("image", "digest")}


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return Project(tmp_path)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_token_is_created_once(empty: Project, local_dev: Stack) -> None:
    token = state.token(empty, local_dev)
    assert re.fullmatch(r"[0-9a-f]{48}", token)
    assert state.token(empty, local_dev) == token


def test_has_token_creates_no_token(empty: Project, local_dev: Stack) -> None:
    assert not state.has_token(empty, local_dev)
    state.token(empty, local_dev)
    assert state.has_token(empty, local_dev)


def test_each_stack_has_a_separate_token(empty: Project, local_dev: Stack) -> None:
    assert state.token(empty, local_dev) != state.token(empty, Stack("prod", "local"))


def test_stored_files_and_folders_are_private(empty: Project, local_dev: Stack) -> None:
    state.keep_secrets(empty, local_dev, {"ONE": "value"})
    folder = empty.root / ".devai"
    assert mode(folder) == mode(folder / "local-dev") == mode(folder / "local-dev" / "secrets") == 0o700
    assert mode(folder / "local-dev" / "token") == mode(folder / "local-dev" / "secrets" / "ONE") == 0o600


def test_secret_for_other_containers_is_readable_inside_the_private_folder(empty: Project, local_dev: Stack) -> None:
    state.keep_secrets(empty, local_dev, {"ONE": "1", "HTTP_PROXY": "2"}, ["HTTP_PROXY"])
    folder = empty.state(local_dev) / "secrets"
    assert (mode(folder / "ONE"), mode(folder / "HTTP_PROXY")) == (0o600, 0o644)
    assert mode(folder) == 0o700


def test_files_of_other_users_become_readable_for_root_without_capabilities(
    empty: Project, local_dev: Stack, tmp_path: Path
) -> None:
    state.keep_secrets(empty, local_dev, {"OTHERS": "1", "ROOTS": "2"})
    folder = empty.state(local_dev)
    if os.geteuid() == 0:
        for file in (folder / "token", folder / "secrets/OTHERS"):
            os.chown(file, 1000, 1000)
    state.open_to_root(empty, local_dev)
    assert mode(folder / "token") == mode(folder / "secrets/OTHERS") == 0o644
    assert mode(folder / "secrets/ROOTS") == (0o600 if os.geteuid() == 0 else 0o644)
    assert mode(folder) == mode(folder / "secrets") == 0o700

    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    (folder / "tls.key").symlink_to(outside)
    with pytest.raises(DevaiError, match=r"tls\.key"):
        state.open_to_root(empty, local_dev)
    assert mode(outside) == 0o600


def test_secrets_are_stored_unchanged_and_a_missing_value_as_an_empty_file(empty: Project, local_dev: Stack) -> None:
    values = {"ONE": "a $b 'c' \"d\" é\n", "TWO": ""}
    state.keep_secrets(empty, local_dev, values)
    folder = empty.state(local_dev) / "secrets"
    assert {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()} == values


def test_secret_that_is_no_longer_listed_is_deleted(empty: Project, local_dev: Stack) -> None:
    state.keep_secrets(empty, local_dev, {"ONE": "1", "TWO": "2"})
    state.keep_secrets(empty, local_dev, {"TWO": "2"})
    assert [file.name for file in (empty.state(local_dev) / "secrets").iterdir()] == ["TWO"]


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "two\nlines",
        "two\r\nlines\r\n",
    ],
)
def test_keep_secrets_returns_whether_a_value_changed(empty: Project, local_dev: Stack, value: str) -> None:
    assert state.keep_secrets(empty, local_dev, {"ONE": value})
    assert not state.keep_secrets(empty, local_dev, {"ONE": value})
    assert state.keep_secrets(empty, local_dev, {"ONE": "other"})


def test_readable_file_becomes_private_when_it_is_written(empty: Project, local_dev: Stack) -> None:
    state.keep_secrets(empty, local_dev, {"ONE": "1"})
    file = empty.state(local_dev) / "secrets" / "ONE"
    file.chmod(0o644)
    state.keep_secrets(empty, local_dev, {"ONE": "2"})
    assert mode(file) == 0o600


def test_recorded_deployment_values_replace_placeholders(project: Project) -> None:
    stack = Stack("dev", "aws")
    assert load(project, stack, environ={}).image.registry == "registry.invalid/lab"
    state.record(project, stack, {"image.registry": "registry.test/lab", "image.digest": DIGEST})
    configuration = Sources(project, {}).configuration(stack)
    assert configuration.settings.image.registry == "registry.test/lab"
    assert IMAGE.isdisjoint(configuration.pending)
    assert configuration.origins(("image", "digest"))[0].place == ".devai/aws-dev/deployment.yaml:4:15"


def test_recorded_values_are_merged_and_empty_values_removed(project: Project) -> None:
    stack = Stack("dev", "aws")
    state.record(project, stack, {"image.registry": "one.test/lab"})
    state.record(project, stack, {"image.registry": "two.test/lab", "image.digest": DIGEST})
    state.record(project, stack, {"image.digest": ""})
    configuration = Sources(project, {}).configuration(stack)
    assert configuration.settings.image.registry == "two.test/lab"
    assert IMAGE.intersection(configuration.pending) == {("image", "digest")}
    state.record(project, stack, {"image.registry": ""})
    assert IMAGE.issubset(Sources(project, {}).configuration(stack).pending)


def test_manually_written_deployment_file_is_read_as_yaml(empty: Project) -> None:
    stack = Stack("dev", "aws")
    file = empty.state(stack) / DEPLOYMENT_FILE
    state.write(file, "# manually written\nimage:\n  registry: registry.test/lab\nkubernetes:\n")
    state.record(empty, stack, {"image.digest": DIGEST, "kubernetes.context": "own"})
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written == {"image": {"registry": "registry.test/lab", "digest": DIGEST}, "kubernetes": {"context": "own"}}
    state.write(file, "image: {registry\n")
    with pytest.raises(ConfigError, match=rf"\.devai/aws-dev/{DEPLOYMENT_FILE}:2:1"):
        state.record(empty, stack, {"image.digest": DIGEST})


def test_versions_of_secrets_are_deleted_with_the_records(empty: Project) -> None:
    """After `tf.destroy`, a new stack has only secrets that have a value at that time."""
    stack = Stack("dev", "aws")
    folder = empty.state(stack) / "terraform"
    assert state.secret_versions(folder, {"KEY": "one"}, {}) == {"KEY": 1}
    assert state.secret_versions(folder, {}, {}) == {"KEY": 1}
    state.delete_records(empty, stack)
    assert state.secret_versions(folder, {}, {}) == {}


# Links that a program with write access to the project may have created, such as a lab that mounts it as ~/work.


def test_link_in_place_of_a_file_is_replaced_and_not_followed(empty: Project, local_dev: Stack) -> None:
    victim = empty.root / "victim"
    victim.write_text("kept", encoding="utf-8")
    folder = state.private_folder(empty.state(local_dev) / "secrets")
    for file in (empty.state(local_dev) / "token", folder / "ONE"):
        file.symlink_to(victim)
    assert not state.has_token(empty, local_dev)
    assert state.token(empty, local_dev) != "kept"
    assert state.keep_secrets(empty, local_dev, {"ONE": "kept"})  # Compose must not read the target of a link
    assert not (folder / "ONE").is_symlink()
    assert victim.read_text(encoding="utf-8") == "kept"


def test_link_in_place_of_the_temporary_file_is_not_followed(
    empty: Project, local_dev: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a temporary file is random, so the test sets it."""
    monkeypatch.setattr("devai_tasks.system.files.secrets.token_hex", lambda _: "known")
    victim = empty.root / "victim"
    victim.write_text("kept", encoding="utf-8")
    state.private_folder(empty.state(local_dev))
    cases: list[tuple[Path, Callable[[], None]]] = [
        (empty.state(local_dev) / ".token.known", lambda: state.write(empty.state(local_dev) / "token", "secret")),
        (empty.root / ".one.yaml.known", lambda: writer.replace_file(empty.root / "one.yaml", "a: 1\n")),
    ]
    for planted, write in cases:
        planted.symlink_to(victim)
        with pytest.raises(FileExistsError):
            write()
        assert planted.is_symlink()
    assert victim.read_text(encoding="utf-8") == "kept"


def test_link_with_a_predictable_temporary_name_is_not_followed(empty: Project, local_dev: Stack) -> None:
    """Version 0.1 used such names."""
    victim = empty.root / "victim"
    victim.write_text("kept", encoding="utf-8")
    folder = state.private_folder(empty.state(local_dev))
    (folder / f".token.{os.getpid()}").symlink_to(victim)
    state.write(folder / "token", "secret")
    assert victim.read_text(encoding="utf-8") == "kept"


def test_link_is_no_stored_secret(empty: Project, local_dev: Stack) -> None:
    """The lab would get the content of the link's target."""
    state.keep_secrets(empty, local_dev, {"ONE": "1"})
    key = empty.root / "key"
    key.write_text("of the caller", encoding="utf-8")
    (empty.state(local_dev) / "secrets/TWO").symlink_to(key)
    assert state.stored_secrets(empty, local_dev) == {"ONE": "1"}


@pytest.mark.parametrize("name", [".devai", ".devai/local-dev", ".devai/local-dev/secrets"])
def test_secrets_are_not_written_to_a_linked_folder(empty: Project, local_dev: Stack, name: str) -> None:
    elsewhere = empty.root / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (empty.root / name).parent.mkdir(parents=True, exist_ok=True)
    (empty.root / name).symlink_to(elsewhere)
    with pytest.raises(DevaiError, match=rf"{name} is a link to .*elsewhere; nothing is written through it. `rm "):
        state.keep_secrets(empty, local_dev, {"ONE": "1"})
    assert [file for file in elsewhere.rglob("*") if file.is_file()] == []
    assert mode(elsewhere) == 0o755


def test_locks_and_history_are_not_written_through_a_link(empty: Project, local_dev: Stack) -> None:
    victim = empty.root / "victim"
    victim.write_text("kept", encoding="utf-8")
    state.private_folder(empty.state(local_dev))
    run = runs.begin("up", [])
    for name in (".devai/local-dev/lock", ".devai/history.jsonl", "generated/local-dev/.lock"):
        (empty.root / name).parent.mkdir(parents=True, exist_ok=True)
        (empty.root / name).symlink_to(victim)
    with pytest.raises(DevaiError, match="lock is a link to"), runs.alone(empty, local_dev, run):
        pass
    with pytest.raises(DevaiError, match="lock is a link to"):
        writer.write({}, empty.artifacts(local_dev))
    with runs.recorded(empty, local_dev, run):
        pass
    assert victim.read_text(encoding="utf-8") == "kept"

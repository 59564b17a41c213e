"""YAML parser: scalars stay as written, each node has a location, and invalid input is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.config import document
from devai_tasks.system.errors import ConfigError

NINE_TIMES = "\n".join(
    f"x{level}: &x{level} [{', '.join([f'*x{level - 1}' if level else 'lol'] * 9)}]" for level in range(9)
)


@pytest.mark.parametrize(
    "text", ["1.10", "0123", "12:30", "on", "no", "1e3", "1_000", "0x1F", "2026-01-01", ".inf", "yes", "=", "True"]
)
def test_scalar_stays_as_written(text: str) -> None:
    assert document.parse(f"key: {text}", "file").tree == {"key": text}


def test_quoted_null_is_a_string_and_plain_null_is_none() -> None:
    tree = document.parse("a: '~'\nb: 'null'\nc: ~\nd: null\ne:", "file").tree
    assert tree == {"a": "~", "b": "null", "c": None, "d": None, "e": None}


def test_every_key_has_its_line_and_column() -> None:
    parsed = document.parse("a:\n  b: 1\nc: [x, y]\nd:\n", "conf/file.yaml")
    assert parsed.key_locations["a", "b"] == "conf/file.yaml:2:3"
    assert parsed.locations["a", "b"] == "conf/file.yaml:2:6"
    assert parsed.locations["c", 1] == "conf/file.yaml:3:8"
    # The location of an empty value, or of one on separate lines, is that of its key.
    assert parsed.locations[("a",)] == "conf/file.yaml:1:1"
    assert parsed.locations[("d",)] == "conf/file.yaml:4:1"


def test_merge_keys_add_missing_keys() -> None:
    tree = document.parse("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: own}", "file").tree
    assert tree["c"] == {"x": "own", "y": "1", "z": "2"}


def test_alias_may_be_used_several_times() -> None:
    assert document.parse("a: &a [1, 2]\nb: *a\nc: *a", "file").tree["c"] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "location", "message"),
    [
        ("", "file:1:1", "is empty"),
        ("# only a comment\n", "file:1:1", "is empty"),
        ("just text", "file:1:1", "not a mapping"),
        ("- a\n- b\n", "file:1:1", "not a mapping"),
        ("a: [1,\nb: 2\n", "file:3:1", "not valid YAML"),
        ("a: 'open\n", "file:2:1", "not valid YAML"),
        ("a: 1\n\tb: 2\n", "file:2:1", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "file:2:1", "not valid YAML"),
        ("a: 1\nb: x\u2028c: 2\n", "file:2:5", "a line break in YAML 1.1, but not in YAML 1.2"),
        ("a: *nothing\n", "file:1:4", "not valid YAML"),
        ("a: \x07", "file", "not valid YAML"),
        ('a: "\\UFFFFFFFF"', "file", "not valid YAML"),
        ("a: " + "[" * 1000, "file", "nested too deep"),
        ("a: 1\nb: 2\na: 3\n", "file:3:1", "duplicate key"),
        ("a: {b: 1, b: 2}\n", "file:1:11", "duplicate key"),
        ("a: !custom 1\n", "file:1:4", "YAML tags are not supported"),
        ("a: !!binary aGk=\n", "file:1:4", "YAML tags are not supported"),
        ("a: !!int text\n", "file:1:4", "YAML tags are not supported"),
        ("!!int a: 1\n", "file:1:1", "YAML tags are not supported"),
        ("a: &a [*a]\n", "file:1:4", "an alias that is recursive or too large"),
        ("a: &a {b: *a}\n", "file:1:4", "an alias that is recursive or too large"),
        ("a: &a {<<: *a}\n", "file:1:4", "an alias that is recursive or too large"),
        (NINE_TIMES, "file:", "an alias that is recursive or too large"),
        ("? [a, b]\n: 1\n", "file:1:3", "a key that is not a string"),
        ("<<: text\n", "file:1:5", "merges mappings only"),
        ("a: &a {}\nb: {<<: *a, <<: *a}\n", "file:2:13", "duplicate key"),
    ],
)
def test_invalid_yaml_is_refused_with_its_location(text: str, location: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        document.parse(text, "file")
    assert str(refusal.value).startswith(location)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["secrets:\n  A: @hunter2\n", "a: {secrets: {A: hunter2: x}}", "secrets: {A: 'hunter2"]
)
def test_possible_secret_is_not_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        document.parse(text, "file")
    assert "hunter2" not in str(refusal.value)
    assert "not valid YAML" in str(refusal.value)


def test_exponential_merge_keys_are_refused() -> None:
    doubling = "\n".join(f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}]}}" for n in range(1, 40))
    with pytest.raises(ConfigError, match="an alias that is recursive or too large"):
        document.parse(f"x0: &x0 {{}}\n{doubling}", "file")


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        document.parse("a: 1\na: 2\nb: !x 3\n", "file")
    assert [problem.location for problem in refusal.value.problems] == ["file:2:1", "file:3:4"]


def test_invalid_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"^conf/file\.yaml:1:1  cannot be read"):
        document.read(file, "conf/file.yaml")


def test_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert document.read(file, "file").tree == {"a": "1"}


@pytest.mark.parametrize("text", ["1.10", "0123", "12:30", "on", "no", "~", "null", "", "a: b", "# no comment", "*x"])
def test_override_is_used_as_written(text: str) -> None:
    assert document.parse_value(text) == text


def test_override_may_be_a_list_a_map_or_a_quoted_string() -> None:
    assert document.parse_value("[1.10, no]") == ["1.10", "no"]
    assert document.parse_value("{a: on, b: ~}") == {"a": "on", "b": None}
    assert document.parse_value('"[x]"') == "[x]"


@pytest.mark.parametrize("text", ["[1", "{a: 1", '"open', "'open", "[1]]", '"a" b', "[a]\nother: 1"])
def test_unclosed_or_second_value_in_an_override_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        document.parse_value(text)
